//! Tests of the rules, through the real SDK over HTTP.

use aws_credential_types::Credentials;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_sdk_sesv2::config::{BehaviorVersion, Region};
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types as mail;
use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use axum::extract::State as Extracted;
use chrono::{DateTime, TimeZone, Utc};
use http::HeaderMap;
use serde_json::Value;

use super::{
    ApplicationEvents, Channel, EventDestination, EventType, Messaging, MessagingConfig, OUTBOX_LIMIT, OutboxItem,
    TopicMessage, outbox,
};

const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:events";
const FEEDBACK: &str = "arn:aws:sns:eu-central-1:123456789012:feedback";
const IOS: &str = "arn:aws:sns:eu-central-1:123456789012:app/APNS/handset";
const ANDROID: &str = "arn:aws:sns:eu-central-1:123456789012:app/GCM/handset";
const SENDER: &str = "Handset <no-reply@handset.example>";

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).single().expect("a time")
}

fn config() -> MessagingConfig {
    let applications = [IOS, ANDROID].map(|arn| (arn.to_owned(), ApplicationEvents::to_topic(FEEDBACK)));
    let deliveries = EventDestination { topic_arn: FEEDBACK.into(), event_types: vec![EventType::Delivery] };
    let sets = [
        ("all".to_owned(), Some(EventDestination::to_topic(FEEDBACK))),
        ("deliveries".to_owned(), Some(deliveries)),
        ("silent".to_owned(), None),
    ];
    MessagingConfig {
        region: "eu-central-1".into(),
        account: "123456789012".into(),
        verified_senders: vec!["no-reply@handset.example".into()],
        base_url: "http://127.0.0.1".into(),
        clock: Arc::new(noon),
        topics: vec![TOPIC.into()],
        configuration_sets: BTreeMap::from(sets),
        platform_applications: BTreeMap::from(applications),
    }
}

/// A listening endpoint, and the SDK's clients for it.
struct Stack {
    messaging: Messaging,
    sns: aws_sdk_sns::Client,
    ses: aws_sdk_sesv2::Client,
}

async fn stack() -> Stack {
    let messaging = Messaging::new(config());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = messaging.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let http = aws_smithy_http_client::Builder::new().build_http();
    let credentials = Credentials::new("local", "local", None, None, "tests");
    let region = Region::from_static("eu-central-1");
    let sns = aws_sdk_sns::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http.clone())
        .credentials_provider(credentials.clone())
        .region(region.clone())
        .endpoint_url(&url)
        .build();
    let ses = aws_sdk_sesv2::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .credentials_provider(credentials)
        .region(region)
        .endpoint_url(&url)
        .build();
    Stack { messaging, sns: aws_sdk_sns::Client::from_conf(sns), ses: aws_sdk_sesv2::Client::from_conf(ses) }
}

impl Stack {
    async fn endpoint(&self, application: &str, token: &str) -> String {
        let request = self.sns.create_platform_endpoint();
        let reply = request.platform_application_arn(application).token(token).send().await.expect("an endpoint");
        reply.endpoint_arn.expect("its ARN")
    }

    async fn attributes(&self, endpoint: &str) -> HashMap<String, String> {
        let request = self.sns.get_endpoint_attributes().endpoint_arn(endpoint);
        let reply = request.send().await.expect("attributes");
        reply.attributes.expect("attributes")
    }

    /// Sends a plain e-mail; gives the error's code if it is rejected.
    async fn email(&self, from: &str, to: &[&str], set: Option<&str>) -> Result<String, String> {
        let body = mail::Body::builder().text(content("Hello")).build();
        let simple = mail::Message::builder().subject(content("Subject")).body(body).build();
        let to = to.iter().map(ToString::to_string).collect();
        let request = self
            .ses
            .send_email()
            .from_email_address(from)
            .destination(mail::Destination::builder().set_to_addresses(Some(to)).build())
            .set_configuration_set_name(set.map(str::to_owned))
            .email_tags(tag("invitation", "inv_1"))
            .content(mail::EmailContent::builder().simple(simple).build());
        match request.send().await {
            Ok(reply) => Ok(reply.message_id.expect("a message id")),
            Err(error) => Err(code(&error)),
        }
    }
}

fn content(data: &str) -> mail::Content {
    mail::Content::builder().data(data).build().expect("content")
}

fn tag(name: &str, value: &str) -> mail::MessageTag {
    mail::MessageTag::builder().name(name).value(value).build().expect("a tag")
}

fn code(error: &impl ProvideErrorMetadata) -> String {
    error.code().expect("a code").to_owned()
}

fn message(error: &impl ProvideErrorMetadata) -> String {
    error.message().expect("a message").to_owned()
}

/// The pending events by type.
fn events(messages: &mut tokio::sync::mpsc::UnboundedReceiver<TopicMessage>) -> Vec<(String, Value)> {
    std::iter::from_fn(|| messages.try_recv().ok())
        .map(|message| {
            assert_eq!(message.topic_arn, FEEDBACK);
            let event: Value = serde_json::from_str(&message.message).expect("JSON");
            let kind = event.get("eventType").or(event.get("EventType"));
            let kind = kind.and_then(Value::as_str).expect("a kind");
            (kind.to_owned(), event)
        })
        .collect()
}

#[tokio::test]
async fn the_same_token_is_the_same_endpoint_of_its_application() {
    let stack = stack().await;
    let first = stack.endpoint(ANDROID, "token").await;
    assert!(first.starts_with("arn:aws:sns:eu-central-1:123456789012:endpoint/GCM/handset/"));
    assert_eq!(stack.endpoint(ANDROID, "token").await, first);
    assert_ne!(stack.endpoint(IOS, "token").await, first);
    assert_ne!(stack.endpoint(ANDROID, "other").await, first);
}

#[tokio::test]
async fn the_same_token_with_other_attributes_is_refused_naming_the_endpoint() {
    let stack = stack().await;
    let arn = stack.endpoint(ANDROID, "token").await;
    let again = stack.sns.create_platform_endpoint();
    let again = again.platform_application_arn(ANDROID).token("token");
    for request in [again.clone().custom_user_data("x"), again.clone().attributes("Enabled", "false")] {
        let error = request.send().await.expect_err("refused").into_service_error();
        assert!(error.is_invalid_parameter_exception());
        assert_eq!(
            message(&error),
            format!(
                "Invalid parameter: Token Reason: Endpoint {arn} already exists with the same \
                 Token, but different attributes."
            )
        );
    }
    again.attributes("Enabled", "true").send().await.expect("the default, said aloud");
}

#[tokio::test]
async fn a_disabled_endpoint_takes_nothing_until_it_is_enabled() {
    let stack = stack().await;
    let arn = stack.endpoint(ANDROID, "token").await;
    let set = stack.sns.set_endpoint_attributes().endpoint_arn(&arn);
    set.clone().attributes("Enabled", "false").send().await.expect("disabled");
    let push = stack.sns.publish().target_arn(&arn).message("wake up");
    let error = push.clone().send().await.expect_err("refused").into_service_error();
    assert!(error.is_endpoint_disabled_exception());
    assert_eq!(stack.messaging.sent_count(), 0);

    set.attributes("Enabled", "true").send().await.expect("enabled");
    push.send().await.expect("sent");
    assert_eq!(stack.messaging.outbox()[0].to, arn);
}

#[tokio::test]
async fn changed_attributes_are_told_and_unchanged_ones_are_not() {
    let stack = stack().await;
    let mut messages = stack.messaging.topic_messages();
    let arn = stack.endpoint(ANDROID, "token").await;
    let set = stack.sns.set_endpoint_attributes().endpoint_arn(&arn);
    set.clone().attributes("Enabled", "true").send().await.expect("no change");
    assert!(events(&mut messages).is_empty());
    set.attributes("Token", "new").send().await.expect("a change");
    let events = events(&mut messages);
    assert_eq!(events[0].0, "EndpointUpdated");
    assert_eq!(events[0].1["EndpointArn"], arn);
    assert_eq!(events[0].1["Resource"], ANDROID);
    assert_eq!(stack.attributes(&arn).await["Token"], "new");
}

#[tokio::test]
async fn a_token_that_another_endpoint_has_cannot_be_set() {
    let stack = stack().await;
    let one = stack.endpoint(ANDROID, "one").await;
    let two = stack.endpoint(ANDROID, "two").await;
    let set = stack.sns.set_endpoint_attributes().endpoint_arn(&two);
    let error = set.attributes("Token", "one").send().await.expect_err("refused");
    assert!(message(&error.into_service_error()).contains(&one));
}

#[tokio::test]
async fn an_endpoint_made_again_after_its_token_moved_on_is_another() {
    let stack = stack().await;
    let first = stack.endpoint(ANDROID, "token").await;
    let set = stack.sns.set_endpoint_attributes().endpoint_arn(&first);
    set.attributes("Token", "new").send().await.expect("moved on");
    assert_ne!(stack.endpoint(ANDROID, "token").await, first);
}

#[tokio::test]
async fn a_stale_token_fails_once_and_is_disabled_from_then_on() {
    let stack = stack().await;
    let mut messages = stack.messaging.topic_messages();
    let arn = stack.endpoint(IOS, "stale-1").await;
    let push = stack.sns.publish().target_arn(&arn).message("wake up");
    let id = push.clone().send().await.expect("accepted").message_id.expect("an id");

    let events = events(&mut messages);
    let kinds: Vec<_> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["DeliveryFailure", "EndpointUpdated"]);
    let failure = &events[0].1;
    assert_eq!(failure["FailureType"], "InvalidPlatformToken");
    assert_eq!(failure["EndpointArn"], arn);
    assert_eq!(failure["MessageId"], id);
    assert_eq!(failure["Resource"], IOS);
    assert_eq!(failure["Time"], "2026-03-01T12:00:00.000Z");
    assert_eq!(stack.attributes(&arn).await["Enabled"], "false");
    let error = push.send().await.expect_err("disabled").into_service_error();
    assert!(error.is_endpoint_disabled_exception());
}

#[tokio::test]
async fn a_created_application_tells_the_topics_that_it_names() {
    let stack = stack().await;
    let mut messages = stack.messaging.topic_messages();
    let create = stack.sns.create_platform_application();
    let create = create.name("other").platform("GCM").attributes("PlatformCredential", "key");
    let unknown = format!("{FEEDBACK}2");
    let refused = create.clone().attributes("EventDeliveryFailure", unknown);
    let error = refused.send().await.expect_err("no such topic");
    assert!(error.into_service_error().is_invalid_parameter_exception());

    let created = create.attributes("EventDeliveryFailure", FEEDBACK).send();
    let arn = created.await.expect("created").platform_application_arn;
    let endpoint = stack.endpoint(&arn.expect("an ARN"), "stale-1").await;
    let push = stack.sns.publish().target_arn(endpoint).message("wake up");
    push.send().await.expect("accepted");
    let events = events(&mut messages);
    let kinds: Vec<_> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["DeliveryFailure"], "it named no other");
}

#[tokio::test]
async fn tokens_of_ios_are_kept_in_lower_case() {
    let stack = stack().await;
    let arn = stack.endpoint(IOS, "ABCDEF").await;
    assert_eq!(stack.attributes(&arn).await["Token"], "abcdef");
    assert_eq!(stack.endpoint(IOS, "abcdef").await, arn);
    let arn = stack.endpoint(ANDROID, "ABCDEF").await;
    assert_eq!(stack.attributes(&arn).await["Token"], "ABCDEF");
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_not_found_and_no_target() {
    let stack = stack().await;
    let arn = stack.endpoint(ANDROID, "token").await;
    for _ in 0..2 {
        stack.sns.delete_endpoint().endpoint_arn(&arn).send().await.expect("deleted");
    }
    let request = stack.sns.get_endpoint_attributes().endpoint_arn(&arn);
    let error = request.send().await.expect_err("gone").into_service_error();
    assert!(error.is_not_found_exception());
    let push = stack.sns.publish().target_arn(&arn).message("x");
    let error = push.send().await.expect_err("gone").into_service_error();
    assert!(error.is_invalid_parameter_exception());
}

#[tokio::test]
async fn a_push_carries_what_its_platform_is_given() {
    let stack = stack().await;
    let ios = stack.endpoint(IOS, "aa").await;
    let android = stack.endpoint(ANDROID, "bb").await;
    let body = r#"{"default":"plain","APNS":"{\"aps\":{\"content-available\":1}}"}"#;
    for arn in [&ios, &android] {
        let push = stack.sns.publish().target_arn(arn).message_structure("json");
        push.message(body).send().await.expect("sent");
    }
    let texts: Vec<_> = stack.messaging.outbox().into_iter().map(|item| item.text).collect();
    assert_eq!(texts, [Some("plain".into()), Some(r#"{"aps":{"content-available":1}}"#.into())]);
    let push = stack.sns.publish().target_arn(&ios).message_structure("json");
    let error = push.message(r#"{"APNS":"no json"}"#).send().await.expect_err("refused");
    assert!(error.into_service_error().is_invalid_parameter_exception());
}

#[tokio::test]
async fn topic_messages_reach_their_taker_in_order_and_not_the_outbox() {
    let stack = stack().await;
    let text = |value: &str| {
        MessageAttributeValue::builder().data_type("String").string_value(value).build().expect("a value")
    };
    let publish = stack.sns.publish().topic_arn(TOPIC).message("first <&>").subject("s");
    let id = publish
        .message_attributes("event_type", text("device.blocked"))
        .send()
        .await
        .expect("published")
        .message_id
        .expect("an id");
    let entry = |id: &str, body: &str| {
        PublishBatchRequestEntry::builder().id(id).message(body).message_group_id("one").build().expect("an entry")
    };
    let batch = stack.sns.publish_batch().topic_arn(TOPIC);
    let batch = batch
        .publish_batch_request_entries(entry("a", "second"))
        .publish_batch_request_entries(entry("b", ""))
        .send()
        .await
        .expect("published");
    assert_eq!(batch.successful()[0].id(), Some("a"));
    assert_eq!(batch.failed()[0].id(), "b");
    assert!(batch.failed()[0].sender_fault());

    let mut messages = stack.messaging.topic_messages();
    let first = messages.try_recv().expect("the first");
    let attribute = ("String".to_owned(), "device.blocked".to_owned());
    let expected = TopicMessage {
        topic_arn: TOPIC.into(),
        message_id: id,
        subject: Some("s".into()),
        message: "first <&>".into(),
        attributes: BTreeMap::from([("event_type".to_owned(), attribute)]),
        group: None,
        timestamp: noon(),
    };
    assert_eq!(first, expected);
    let second = messages.try_recv().expect("the second");
    assert_eq!((second.message.as_str(), second.group.as_deref()), ("second", Some("one")));
    assert!(messages.try_recv().is_err());
    assert!(stack.messaging.outbox().is_empty());
}

#[tokio::test]
async fn what_becomes_of_a_text_is_logged_and_some_numbers_fail() {
    let stack = stack().await;
    let mut log = stack.messaging.log_entries();
    let group = "sns/eu-central-1/123456789012/DirectPublishToPhoneNumber";
    let cases =
        [("+491701234567", "SUCCESS", group.to_owned()), ("+14254147167", "FAILURE", format!("{group}/Failure"))];
    for (number, status, group) in cases {
        let sent = stack.sns.publish().phone_number(number).message("x").send().await.expect("it is sent");
        let entry = log.try_recv().expect("a line");
        assert_eq!((entry.group, entry.timestamp), (group, noon()));
        let line: Value = serde_json::from_str(&entry.message).expect("JSON");
        assert_eq!(line["notification"]["messageId"].as_str(), sent.message_id.as_deref());
        assert_eq!(line["notification"]["timestamp"], "2026-03-01 12:00:00.000");
        assert_eq!((&line["status"], &line["delivery"]["destination"]), (&status.into(), &number.into()));
    }
    assert_eq!(stack.messaging.outbox().len(), 2, "a text that fails was taken all the same");
    stack.sns.publish().phone_number("none").message("x").send().await.expect_err("it is no number");
    assert!(log.try_recv().is_err());
}

#[tokio::test]
async fn a_later_taker_of_topic_messages_takes_over() {
    let stack = stack().await;
    let mut first = stack.messaging.topic_messages();
    let mut second = stack.messaging.topic_messages();
    stack.sns.publish().topic_arn(TOPIC).message("x").send().await.expect("published");
    assert!(first.try_recv().is_err());
    assert!(second.try_recv().is_ok());
}

#[tokio::test]
async fn the_size_of_a_message_counts_bytes_and_attributes() {
    let stack = stack().await;
    let publish = |body: String| stack.sns.publish().topic_arn(TOPIC).message(body);
    let limit = 256 * 1024;
    publish("x".repeat(limit)).send().await.expect("just fits");
    publish("é".repeat(limit / 2)).send().await.expect("just fits");
    let refused = [publish("x".repeat(limit + 1)), publish("é".repeat(limit / 2) + "x")];
    for request in refused {
        let error = request.send().await.expect_err("too long").into_service_error();
        assert!(error.is_invalid_parameter_exception());
    }
    let binary = |size: usize| {
        let value = MessageAttributeValue::builder().data_type("Binary");
        value.binary_value(Blob::new(vec![0; size])).build().expect("a value")
    };
    // Name and type have 1 + 6 bytes; the value counts by its bytes, not its base64.
    let with = |size| publish("x".repeat(limit - 100)).message_attributes("n", binary(size));
    with(93).send().await.expect("just fits");
    with(94).send().await.expect_err("too long");
}

#[tokio::test]
async fn a_sender_must_be_verified() {
    let stack = stack().await;
    let to = ["ada@example.com"];
    let created = stack.ses.create_email_identity().email_identity("new@example.com").send().await;
    assert!(!created.expect("created").verified_for_sending_status());
    for sender in ["stranger@example.com", "new@example.com"] {
        assert_eq!(stack.email(sender, &to, None).await, Err("MessageRejected".to_owned()));
    }
    assert_eq!(stack.messaging.sent_count(), 0);
    stack.email(SENDER, &to, None).await.expect("sent");
    assert_eq!(stack.messaging.sent_count(), 1);
}

#[tokio::test]
async fn an_unverified_sender_is_named_as_ses_names_it() {
    let stack = stack().await;
    let body = mail::Body::builder().text(content("x")).build();
    let simple = mail::Message::builder().subject(content("s")).body(body).build();
    let request = stack.ses.send_email().from_email_address("A <a@example.com>");
    let request = request
        .destination(mail::Destination::builder().to_addresses("b@example.com").build())
        .content(mail::EmailContent::builder().simple(simple).build());
    let error = request.send().await.expect_err("refused").into_service_error();
    assert!(error.is_message_rejected());
    assert_eq!(
        message(&error),
        "Email address is not verified. The following identities failed the check in region \
         EU-CENTRAL-1: A <a@example.com>, a@example.com"
    );
}

#[tokio::test]
async fn an_email_is_kept_with_its_parts_and_files() {
    let stack = stack().await;
    let body = mail::Body::builder().text(content("Hello")).html(content("<img src=\"cid:qr\">")).build();
    let picture = mail::Attachment::builder()
        .file_name("qr.png")
        .content_type("image/png")
        .content_id("qr")
        .content_disposition(mail::AttachmentContentDisposition::Inline)
        .raw_content(Blob::new([1, 2, 3]))
        .build()
        .expect("an attachment");
    let simple = mail::Message::builder().subject(content("Your phone")).body(body).attachments(picture).build();
    let to = mail::Destination::builder().to_addresses("Ada <ada@example.com>").cc_addresses("bob@example.com").build();
    let request = stack.ses.send_email().from_email_address(SENDER).destination(to);
    let request = request.content(mail::EmailContent::builder().simple(simple).build());
    request.send().await.expect("sent");

    let item = &stack.messaging.outbox()[0];
    assert_eq!(item.channel, Channel::Email);
    assert_eq!(item.to, "ada@example.com, bob@example.com");
    assert_eq!(item.subject.as_deref(), Some("Your phone"));
    assert_eq!(item.html.as_deref(), Some("<img src=\"cid:qr\">"));
    let file = &item.attachments[0];
    assert_eq!((file.name.as_str(), file.size, file.content.as_str()), ("qr.png", 3, "AQID"));
    assert_eq!(file.content_id.as_deref(), Some("qr"));
}

#[tokio::test]
async fn a_raw_email_is_kept_like_any_other() {
    let stack = stack().await;
    let raw = format!("From: {SENDER}\r\nTo: ada@example.com\r\nSubject: =?utf-8?Q?=C3=A9?=\r\n\r\nhi");
    let raw = mail::RawMessage::builder().data(Blob::new(raw)).build().expect("a message");
    let request = stack.ses.send_email();
    let request = request.content(mail::EmailContent::builder().raw(raw).build());
    request.send().await.expect("sent");
    let item = &stack.messaging.outbox()[0];
    assert_eq!(item.to, "ada@example.com");
    assert_eq!(item.subject.as_deref(), Some("é"));
    assert_eq!(item.text.as_deref(), Some("hi"));
}

#[tokio::test]
async fn a_configuration_set_tells_of_a_delivery_with_the_senders_tags() {
    let stack = stack().await;
    let mut messages = stack.messaging.topic_messages();
    let id = stack.email(SENDER, &["Ada <ada@example.com>"], Some("all")).await.expect("sent");
    let events = events(&mut messages);
    assert_eq!(events.len(), 1);
    let (kind, event) = &events[0];
    assert_eq!(kind, "Delivery");
    assert_eq!(event["mail"]["messageId"], id);
    assert_eq!(event["mail"]["timestamp"], "2026-03-01T12:00:00.000Z");
    assert_eq!(event["mail"]["destination"][0], "ada@example.com");
    assert_eq!(event["mail"]["tags"]["invitation"][0], "inv_1");
    assert_eq!(event["mail"]["tags"]["ses:configuration-set"][0], "all");
    assert_eq!(event["delivery"]["recipients"][0], "ada@example.com");
}

#[tokio::test]
async fn the_simulators_addresses_bounce_and_complain() {
    let stack = stack().await;
    let mut messages = stack.messaging.topic_messages();
    let to = ["bounce+label@simulator.amazonses.com", "ada@example.com"];
    stack.email(SENDER, &to, Some("all")).await.expect("sent");
    let found = events(&mut messages);
    let kinds: Vec<_> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["Delivery", "Bounce"]);
    assert_eq!(found[0].1["delivery"]["recipients"], serde_json::json!(["ada@example.com"]));
    let bounce = &found[1].1["bounce"];
    assert_eq!(bounce["bounceType"], "Permanent");
    assert_eq!(bounce["bouncedRecipients"][0]["emailAddress"], to[0]);

    let to = ["complaint@simulator.amazonses.com"];
    stack.email(SENDER, &to, Some("all")).await.expect("sent");
    let found = events(&mut messages);
    let kinds: Vec<_> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["Delivery", "Complaint"], "who complains has received it");
    let complaint = &found[1].1["complaint"];
    assert_eq!(complaint["complainedRecipients"][0]["emailAddress"], to[0]);
}

#[tokio::test]
async fn a_set_tells_what_it_was_asked_for_and_nothing_else() {
    let stack = stack().await;
    let mut messages = stack.messaging.topic_messages();
    let to = ["bounce@simulator.amazonses.com"];
    for set in [Some("deliveries"), Some("silent"), None] {
        stack.email(SENDER, &to, set).await.expect("sent");
    }
    assert!(events(&mut messages).is_empty());
    let refused = stack.email(SENDER, &to, Some("unknown")).await;
    assert_eq!(refused, Err("NotFoundException".to_owned()));
    assert_eq!(stack.messaging.sent_count(), 3);
}

#[tokio::test]
async fn a_virus_is_rejected_and_not_sent() {
    let stack = stack().await;
    let mut messages = stack.messaging.topic_messages();
    let virus = [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat();
    let file = mail::Attachment::builder().file_name("a.txt").raw_content(Blob::new(virus)).build().expect("a file");
    let body = mail::Body::builder().text(content("x")).build();
    let simple = mail::Message::builder().subject(content("s")).body(body).attachments(file).build();
    let to = mail::Destination::builder().to_addresses("ada@example.com").build();
    let request = stack.ses.send_email().from_email_address(SENDER).destination(to);
    let request = request.content(mail::EmailContent::builder().simple(simple).build());
    request.configuration_set_name("all").send().await.expect("accepted");
    assert_eq!(events(&mut messages)[0].0, "Reject");
    assert_eq!(stack.messaging.sent_count(), 0);
}

#[tokio::test]
async fn a_snapshot_keeps_endpoints_and_outbox() {
    let stack = stack().await;
    let arn = stack.endpoint(ANDROID, "token").await;
    stack.email(SENDER, &["ada@example.com"], None).await.expect("sent");
    let snapshot = stack.messaging.to_json().expect("a snapshot");
    let restored = Messaging::from_json(config(), snapshot.clone()).expect("restored");
    assert_eq!(restored.outbox(), stack.messaging.outbox());
    assert_eq!(restored.sent_count(), 1);
    assert_eq!(restored.to_json().expect("a snapshot"), snapshot);
    assert!(restored.state().endpoints.contains_key(&arn));
}

fn text_item(text: usize) -> OutboxItem {
    OutboxItem::bare(Channel::Sms, "+491701234567", text.to_string(), noon())
}

#[test]
fn the_outbox_keeps_the_newest_and_counts_all() {
    let messaging = Messaging::new(config());
    for number in 0..=OUTBOX_LIMIT {
        messaging.state().outbox.add(text_item(number));
    }
    let items = messaging.outbox();
    assert_eq!(items.len(), OUTBOX_LIMIT);
    assert_eq!(items[0].text, Some(OUTBOX_LIMIT.to_string()));
    assert_eq!(messaging.sent_count(), OUTBOX_LIMIT as u64 + 1);
    messaging.clear();
    assert!(messaging.outbox().is_empty());
}

async fn fetch_outbox(messaging: &Messaging, accept: &str) -> (HeaderMap, String) {
    let mut headers = HeaderMap::new();
    headers.insert("accept", accept.parse().expect("a value"));
    let response = outbox::serve(Extracted(messaging.clone()), headers).await;
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    (parts.headers, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn the_outbox_is_a_page_for_people_and_json_for_programs() {
    let messaging = Messaging::new(config());
    messaging.state().outbox.add(text_item(1));
    let (headers, body) = fetch_outbox(&messaging, "application/json").await;
    assert_eq!(headers["content-type"], "application/json");
    let reply: Value = serde_json::from_str(&body).expect("JSON");
    let expected = serde_json::json!({ "items": [{
        "channel": "sms", "to": "+491701234567", "subject": null, "text": "1", "html": null,
        "attachments": [], "sent_at": "2026-03-01T12:00:00Z",
    }] });
    assert_eq!(reply, expected);

    let (headers, body) = fetch_outbox(&messaging, "text/html,application/xhtml+xml,*/*").await;
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert!(headers["content-security-policy"].to_str().expect("text").contains("script-src 'nonce-"));
    assert!(body.contains("+491701234567"));
    let version = headers["etag"].clone();
    messaging.clear();
    assert_ne!(fetch_outbox(&messaging, "text/html").await.0["etag"], version);
}
