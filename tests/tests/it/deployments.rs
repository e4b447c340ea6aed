//! Client deployment over HTTP: from the profile to the phone that is set up.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::Duration;
use futures::future::join_all;
use http::{Method, Request};
use local::messaging::{Channel, OutboxItem};
use serde_json::{Value, json};
use testkit::request_recorder::RequestRecorder;
use testkit::{Answer, Setup, qr, rows, text};

use crate::fixture::Fixture;

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15";
const ANDROID: &str = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/131.0 Mobile";
const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

impl Fixture {
    /// Starts a deployment, sends its e-mail, and returns its identifier and its code.
    async fn deploy(&self, user: &str) -> (String, String) {
        self.bench.deploy(&self.tenant, user).await
    }

    /// Creates a user with a phone registered by a deployment, and returns the user, the device and its
    /// credential.
    async fn enrolled(&self, username: &str) -> (String, String, String) {
        let user = self.user(username).await;
        let (_deployment, code) = self.deploy(&user).await;
        let phone = self.bench.register(&code, &format!("{username}-phone")).await.expect(201);
        (user, text(&phone.body["device"]["device_id"]), phone.get("credential"))
    }

    async fn download(&self, credential: &str) -> Answer {
        self.bench.download(credential).await
    }

    async fn report_installed(&self, credential: &str, version: &str) -> Answer {
        self.bench.check_in_with(credential, json!({"config_version": version})).await.expect(200)
    }

    /// Downloads and installs a phone's configuration, and returns its version.
    async fn set_up(&self, credential: &str) -> String {
        let version = self.download(credential).await.expect(200).get("config_version");
        let _check_in = self.report_installed(credential, &version).await;
        version
    }

    /// A user in the list of client deployment.
    async fn client_deployment(&self, user: &str) -> Value {
        let all = self.all("/deployments").await;
        all.into_iter().find(|shown| shown["user_id"] == *user).expect("the list succeeds")
    }

    fn mails(&self) -> Vec<OutboxItem> {
        self.sent(Channel::Email)
    }

    /// A GET as of a browser or an image viewer, with the response's bytes.
    async fn fetch(&self, path: &str, headers: &[(&str, &str)]) -> http::Response<Vec<u8>> {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.bench.stack.http(request.body(Vec::new().into()).unwrap()).await.map(Vec::from)
    }

    async fn qr(&self, deployment: &str, accept: &str) -> http::Response<Vec<u8>> {
        let key = format!("Bearer {}", self.tenant.key);
        self.fetch(&format!("/deployments/{deployment}/qr"), &[("authorization", &key), ("accept", accept)]).await
    }
}

fn header(response: &http::Response<Vec<u8>>, name: &str) -> String {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn body(response: &http::Response<Vec<u8>>) -> String {
    String::from_utf8(response.body().clone()).unwrap()
}

/// The link in an e-mail's text.
fn link(mail: &OutboxItem) -> String {
    let text = mail.text.as_deref().unwrap();
    let line = text.lines().find(|line| line.contains("/r/")).expect("the link has a line of its own");
    line.to_owned()
}

#[tokio::test]
async fn a_phone_downloads_its_profiles_configuration_by_every_kind_of_qr_code() {
    let fixture = Fixture::new().await;
    let profile = json!({
        "name": "Office",
        "settings": {"theme": "dark", "account": {"domain": "acme.example", "name": "nobody"}, "codecs": ["opus"]},
    });
    let profile = fixture.post("/profiles", profile).await.expect(201).get("profile_id");
    let user = fixture.user("ada").await;
    let edit = json!({
        "sip_user_name": "sip-ada", "service_account": "Ada at work",
        "overrides": {"theme": "light", "account": {"sip_user_name": "overridden"}},
    });
    let _edited = fixture.patch(&format!("/users/{user}"), edit).await.expect(200);
    let secrets = json!({"client_password": "s3cret-client", "voicemail_pin": "90210"});
    let path = format!("/users/{user}/secrets");
    let set = fixture.put(&path, secrets).await.expect(200);
    assert_eq!(
        set.body["secrets"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["client_password", "voicemail_pin"]
    );
    assert!(!set.text.contains("s3cret") && !set.text.contains("90210"), "{}", set.text);

    // The e-mail.
    let created = fixture.post(&format!("/users/{user}/deploy"), json!({"profile_id": profile})).await.expect(202);
    let deployment = created.get("deployment_id");
    assert_eq!((created.get("status"), &created.body["deployed_at"]), ("open".to_owned(), &Value::Null));
    assert_eq!(fixture.client_deployment(&user).await["deployed_at"], Value::Null, "it was not sent");
    fixture.bench.drain().await;
    let mails = fixture.mails();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    let code = fixture.bench.newest_deployment_code().unwrap();
    let link = link(mail);
    assert!(link.ends_with(&format!("/r/{code}")) && link.starts_with("http"), "{link}");
    assert_eq!(mail.to, "ada@example.com");
    assert!(!mail.subject.as_deref().unwrap_or_default().contains("Ada"), "a subject contains no name");
    let (plain, html) = (mail.text.as_deref().unwrap(), mail.html.as_deref().unwrap());
    assert!(html.contains(&format!("href=\"{link}\"")) && html.contains("cid:deployment-qr"));
    for said in
        ["Hello Ada", "your settings for the app are ready", &code, "tell your administrator", "nothing to type"]
    {
        assert!(plain.contains(said) && html.contains(said), "both forms say: {said}");
    }
    for store in ["https://apps.apple.com/", "https://play.google.com/store/apps/details?id="] {
        assert!(plain.contains(store) && html.contains(&format!("<a href=\"{store}")), "{store}");
    }
    assert!(html.len() < 100 * 1024);
    let [inside, attached] = &mail.attachments[..] else { panic!("{:?}", mail.attachments) };
    assert_eq!(inside.content_id.as_deref(), Some("deployment-qr"));
    assert_eq!((attached.content_id.as_deref(), attached.name.as_str()), (None, "set-up-code.png"));
    for picture in [inside, attached] {
        assert_eq!(picture.content_type, "image/png");
        assert_eq!(qr::read_png(&BASE64_STANDARD.decode(&picture.content).unwrap()), link);
    }
    let sent = fixture.client_deployment(&user).await;
    assert_eq!(
        (text(&sent["profile"]), text(&sent["deployment"]["delivery"]["state"])),
        ("Office".into(), "delivered".into())
    );
    assert_eq!((&sent["deployed_at"].is_string(), &sent["downloaded_at"]), (&true, &Value::Null));

    // The QR code, whose display is recorded, and the page for computers.
    for accept in ["*/*", "image/svg+xml", "text/html, image/png;q=0.1, image/svg+xml;q=0.2"] {
        let picture = fixture.qr(&deployment, accept).await;
        assert_eq!((picture.status().as_u16(), header(&picture, "content-type")), (200, "image/svg+xml".to_owned()));
        assert_eq!(
            (qr::read_svg(&body(&picture)), header(&picture, "cache-control")),
            (link.clone(), "no-store".into())
        );
    }
    let picture = fixture.qr(&deployment, "image/png, image/svg+xml;q=0.5").await;
    assert_eq!(
        (header(&picture, "content-type"), qr::read_png(picture.body())),
        ("image/png".to_owned(), link.clone())
    );
    let refused = fixture.qr(&deployment, "application/json").await;
    assert_eq!(refused.status(), 406);
    let shown = fixture.events("deployment.qr_shown").await;
    assert_eq!(shown.len(), 4);
    assert!(shown.iter().all(|event| event["deployment_id"] == *deployment && event["user_id"] == *user), "{shown:?}");
    let page = fixture.fetch(&format!("/r/{code}"), &[("user-agent", DESKTOP)]).await;
    assert_eq!((page.status().as_u16(), qr::read_svg(&body(&page))), (200, link));

    // The phone.
    fixture.bench.advance(Duration::minutes(1));
    let phone = fixture.bench.register(&code, "adas-phone").await.expect(201);
    let credential = phone.get("credential");
    assert_eq!(fixture.client_deployment(&user).await["force_pending"], true);
    let check_in = fixture.bench.check_in(&credential).await.expect(200);
    assert_eq!((check_in.get("access"), &check_in.body["download_config"]), ("allowed".to_owned(), &json!(true)));
    let config = fixture.download(&credential).await.expect(200);
    assert_eq!(config.headers["cache-control"], "no-store");
    assert_eq!(
        (text(&config.body["profile"]["name"]), &config.body["profile"]["revision"]),
        ("Office".into(), &json!(1))
    );
    let settings = &config.body["settings"];
    assert_eq!((text(&settings["theme"]), &settings["codecs"]), ("light".to_owned(), &json!(["opus"])));
    let account = json!({
        "domain": "acme.example", "username": "ada", "name": "Ada Adler", "first_name": "Ada", "last_name": "Adler",
        "email": "ada@example.com", "number": "4711", "sip_user_name": "overridden", "service_account": "Ada at work",
        "client_password": "s3cret-client", "voicemail_pin": "90210",
    });
    assert_eq!(settings["account"], account, "the user's own settings over their data over the profile's");
    let version = config.get("config_version");
    let (served, downloaded) = (
        fixture.client_deployment(&user).await["served_at"].clone(),
        fixture.client_deployment(&user).await["downloaded_at"].clone(),
    );
    assert!(served.is_string() && downloaded.is_null(), "served is not downloaded");

    // The installed version, as the phone reports it.
    let check_in = fixture.bench.check_in(&credential).await.expect(200);
    assert_eq!(check_in.body["download_config"], true, "one was served and is not installed");
    fixture.bench.advance(Duration::minutes(1));
    let check_in = fixture.report_installed(&credential, &version).await;
    assert_eq!(check_in.body["download_config"], false);
    let set_up = fixture.client_deployment(&user).await;
    assert!(set_up["downloaded_at"].as_str() > set_up["served_at"].as_str(), "{set_up}");
    assert_eq!((&set_up["force_pending"], text(&set_up["deployment"]["status"])), (&json!(false), "used".into()));

    // A repeated report records nothing.
    let before = fixture.bench.event_types(&fixture.tenant).await;
    let repeated = fixture.download(&credential).await.expect(200);
    assert_eq!(repeated.body, config.body);
    let _check_in = fixture.report_installed(&credential, &version).await;
    assert_eq!(fixture.bench.event_types(&fixture.tenant).await, before);
    for kind in [
        "deployment.started",
        "deployment.sent",
        "deployment.delivered",
        "device.config_served",
        "device.config_installed",
    ] {
        assert_eq!(before.iter().filter(|recorded| *recorded == kind).count(), 1, "{kind}");
    }
    fixture.bench.drain().await;
    assert_eq!(fixture.mails().len(), 1);
}

#[tokio::test]
async fn a_configurations_version_changes_with_each_of_its_parts_and_reveals_no_secret() {
    let fixture = Fixture::new().await;
    let (user, _device, credential) = fixture.enrolled("ada").await;
    let key = &fixture.tenant.key;
    let mut versions = BTreeSet::from([fixture.set_up(&credential).await]);
    let mut another = async |what: &str| {
        fixture.bench.advance(Duration::minutes(1));
        let version = fixture.set_up(&credential).await;
        assert!(versions.insert(version), "another version after {what}");
    };
    let path = format!("/users/{user}");
    let profile = json!({"name": "Office", "settings": {"a": 1}});
    let profile = fixture.bench.post("/profiles", key, profile).await.expect(201).get("profile_id");
    another("a default profile").await;
    let _changed =
        fixture.bench.patch(&format!("/profiles/{profile}"), key, json!({"settings": {"a": 2}})).await.expect(200);
    another("other settings").await;
    let _changed = fixture.bench.patch(&path, key, json!({"overrides": {"b": 1e300}})).await.expect(200);
    another("settings of their own").await;
    let _changed = fixture.bench.patch(&path, key, json!({"sip_user_name": "s"})).await.expect(200);
    another("account data").await;
    for secret in ["4711", "4711"] {
        let _secrets_set =
            fixture.bench.put(&format!("{path}/secrets"), key, json!({"voicemail_pin": secret})).await.expect(200);
        // The version does not reveal that a secret is the same as before.
        another("a secret").await;
    }
    let _updated = fixture.bench.patch(&path, key, json!({"mobile": "+491709999999"})).await.expect(200);
    assert!(!versions.insert(fixture.set_up(&credential).await), "a version covers only what the phone receives");
}

#[tokio::test]
async fn the_salt_of_versions_is_stored_and_deleted_with_the_user() {
    let fixture = Fixture::new().await;
    let (user, device, credential) = fixture.enrolled("ada").await;
    let (_other, _device, others) = fixture.enrolled("bea").await;
    let version = fixture.set_up(&credential).await;
    assert_eq!(fixture.set_up(&credential).await, version, "equal configurations have equal versions");
    let _others = fixture.set_up(&others).await;
    let salt = |user: &str| {
        let is_match = |row: &&Value| row["sk"] == "USER" && row["user_id"] == *user;
        let row = rows::all(&fixture.bench, rows::MAIN).values().find(is_match).cloned();
        row.map(|row| text(&row["client"]["config_salt"])).unwrap_or_default()
    };
    let of_ada = salt(&user);
    assert_eq!(of_ada.len(), 22, "the salt is set");
    let holding =
        || rows::everything(&fixture.bench).into_values().filter(|row| row.to_string().contains(&of_ada)).count();
    assert_eq!(holding(), 1, "it is only in the user's own row");
    assert!(!fixture.get(&format!("/users/{user}")).await.to_string().contains(&of_ada));
    let delete = json!({"without_wipe": true, "reason": "left"});
    let path = format!("/users/{user}");
    let _deleted =
        fixture.bench.call(Method::DELETE, &path, Some(&fixture.tenant.key), Some(&delete)).await.expect(200);
    fixture.bench.advance(Duration::days(100));
    let _purged = fixture.bench.purge().await;
    assert_eq!((salt(&user), holding()), (String::new(), 0));
    fixture.bench.drain().await;
    let recorded = rows::all(&fixture.bench, rows::MAIN).into_values().filter(|row| row["device_id"] == *device);
    assert!(recorded.into_iter().any(|row| row.to_string().contains(&version)), "the event is kept");
}

#[tokio::test]
async fn of_phones_that_scan_the_same_code_concurrently_one_registers_and_gets_the_configuration() {
    let fixture = Fixture::new().await;
    for round in 0..10 {
        let user = fixture.user(&format!("ada-{round}")).await;
        let (_deployment, code) = fixture.deploy(&user).await;
        let answers = join_all((0..8).map(|phone| {
            let identifier = format!("phone-{round}-{phone}");
            let (fixture, code) = (&fixture, &code);
            async move { fixture.bench.register(code, &identifier).await }
        }))
        .await;
        let registered: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert_eq!(registered.len(), 1, "round {round}");
        for refused in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!((refused.status.as_u16(), refused.code()), (410, "code_used"), "round {round}");
        }
        let config = fixture.download(&registered[0].get("credential")).await.expect(200);
        assert_eq!(config.body["settings"]["account"]["username"], format!("ada-{round}"));
        let served = fixture.get(&format!("/users/{user}")).await;
        assert_eq!(served["devices"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn a_phone_without_access_gets_no_configuration_and_no_other_response_has_a_secret() {
    let fixture = Fixture::new().await;
    let key = &fixture.tenant.key;
    let user = fixture.user("ada").await;
    let path = format!("/users/{user}");
    let secrets = json!({
        "client_password": "s3cret-one", "pbx_sip_password": "s3cret-two",
        "teleworker_sip_password": "s3cret-three", "voicemail_pin": "902109021",
    });
    let replies = std::cell::RefCell::new(Vec::new());
    let keep = |answer: Answer| {
        replies.borrow_mut().push(answer.text.clone());
        answer
    };
    let _secrets_set = keep(fixture.bench.put(&format!("{path}/secrets"), key, secrets).await.expect(200));
    let (_deployment, code) = fixture.deploy(&user).await;
    let invitation = fixture.bench.invite(&fixture.tenant, &user, 3).await;
    let phone = keep(fixture.bench.register(&code, "one").await.expect(201));
    let (device, credential) = (text(&phone.body["device"]["device_id"]), phone.get("credential"));
    for identifier in ["two", "three"] {
        let _more = keep(fixture.bench.register(&invitation, identifier).await.expect(201));
    }
    let config = fixture.download(&credential).await.expect(200);
    assert_eq!(config.body["settings"]["account"]["pbx_sip_password"], "s3cret-two");

    // A fourth.
    let (_deployment, code) = fixture.deploy(&user).await;
    let fourth = keep(fixture.bench.register(&code, "four").await.expect(409));
    assert_eq!(fourth.code(), "device_limit_reached");

    let none = async |status: u16, why: &str| {
        let before = rows::everything(&fixture.bench);
        let refused = keep(fixture.download(&credential).await.expect(status));
        assert_eq!(refused.code(), why);
        assert!(before == rows::everything(&fixture.bench), "{why}: something was changed");
        if status != 401 {
            let check_in = keep(fixture.bench.check_in(&credential).await.expect(200));
            let offered = check_in.body["download_config"] == true;
            assert!(!offered || why == "not_deployed", "{why}: the phone is ordered to download");
        }
    };
    let context = async |method: Method, path: &str, body: Value| {
        fixture.bench.advance(Duration::minutes(1));
        keep(fixture.bench.call(method, path, Some(key), Some(&body)).await.expect(200))
    };
    let _blocked = context(Method::POST, &format!("/devices/{device}/block"), json!({})).await;
    none(403, "device_blocked").await;
    let _forced = context(Method::POST, &format!("{path}/force-config"), json!({})).await;
    none(403, "device_blocked").await;
    let _unblocked = context(Method::POST, &format!("/devices/{device}/unblock"), json!({})).await;
    let _suspended = context(Method::POST, &format!("{path}/suspend"), json!({})).await;
    none(403, "user_suspended").await;
    let _activated = context(Method::POST, &format!("{path}/activate"), json!({})).await;
    let _downloaded = fixture.download(&credential).await.expect(200);
    for list in
        ["/users", "/deployments", "/devices", "/events", "/jobs", "/profiles", &path, &format!("{path}/invitations")]
    {
        let _listed = keep(fixture.bench.get(list, key).await.expect(200));
    }
    let _revoked = context(Method::DELETE, &format!("/deployments{path}"), json!({})).await;
    none(409, "not_deployed").await;
    let refused = keep(fixture.post(&format!("{path}/force-config"), json!({})).await.expect(409));
    assert_eq!(refused.code(), "not_deployed");
    let _deployment = fixture.deploy(&user).await;
    let config = fixture.download(&credential).await.expect(200);
    assert_eq!(config.body["settings"]["account"].get("pbx_sip_password"), None, "the secrets are deleted");
    let locked = context(Method::POST, &format!("{path}/lock-and-wipe"), json!({})).await;
    none(403, "user_locked").await;
    assert_eq!(text(&locked.body["status"]), "locked");
    let _deleted = context(Method::DELETE, &format!("/devices/{device}"), json!({})).await;
    none(409, "device_deleted").await;
    for said in replies.into_inner() {
        assert!(!said.contains("s3cret") && !said.contains("902109021"), "{said}");
    }
}

#[tokio::test]
async fn a_redirect_leads_each_platform_to_its_store() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ada").await;
    let (_deployment, code) = fixture.deploy(&user).await;
    for agent in [IPHONE, ANDROID, DESKTOP, ""] {
        let reply = fixture.fetch(&format!("/r/{code}"), &[("user-agent", agent)]).await;
        expect_private_response(&reply);
        let location = header(&reply, "location");
        match agent {
            IPHONE => assert!(reply.status() == 302 && location.starts_with("https://apps.apple.com/"), "{location}"),
            ANDROID => {
                let store = location.starts_with("https://play.google.com/store/apps/details?id=");
                assert!(
                    reply.status() == 302 && store && location.ends_with(&format!("&referrer={code}")),
                    "{location}"
                );
            }
            _ => {
                assert!(reply.status() == 200 && location.is_empty());
                let page = body(&reply);
                assert!(
                    page.contains(&format!("handset://r/{code}"))
                        && qr::read_svg(&page).ends_with(&format!("/r/{code}"))
                );
                assert!(
                    !page.contains("<script") && !page.contains("<img") && !page.contains("<link"),
                    "it loads nothing"
                );
                assert!(!page.contains("Adler"), "it reveals nothing of its user");
                assert!(header(&reply, "content-security-policy").contains("default-src 'none'"));
            }
        }
    }
    fixture.faults.watch("redirect", None);
    for none in
        ["x", "", "2222222222222222222", "22222222222222222222222", "0000000000000000000000", "%2e%2e%2fkeys", "%00"]
    {
        for agent in [IPHONE, DESKTOP] {
            let reply = fixture.fetch(&format!("/r/{none}"), &[("user-agent", agent)]).await;
            assert_eq!(reply.status(), 404, "{none}");
            assert!(header(&reply, "location").is_empty() && header(&reply, "cache-control") == "no-store", "{none}");
        }
    }
    assert_eq!(fixture.faults.calls(), [], "a text that cannot be a code is not looked up");
    let bea = fixture.user("bea").await;
    let invitation = fixture.bench.invite(&fixture.tenant, &bea, 1).await;
    let before = rows::everything(&fixture.bench);
    for nobodys in ["2222222222222222222222", invitation.as_str()] {
        let reply = fixture.fetch(&format!("/r/{nobodys}"), &[("user-agent", IPHONE)]).await;
        assert_eq!(reply.status(), 404, "{nobodys} is not a deployment's code");
    }
    assert!(before == rows::everything(&fixture.bench));
}

/// Asserts that a response whose URL contains a code is not cached and sends no referrer.
fn expect_private_response(reply: &http::Response<Vec<u8>>) {
    assert_eq!(header(reply, "cache-control"), "no-store");
    assert_eq!(header(reply, "referrer-policy"), "no-referrer");
    assert!(header(reply, "set-cookie").is_empty());
}

#[tokio::test]
async fn an_ended_link_shows_the_reason_instead_of_redirecting() {
    let fixture = Fixture::new().await;
    let users =
        [fixture.user("ada").await, fixture.user("bea").await, fixture.user("cyd").await, fixture.user("dan").await];
    let mut links = Vec::new();
    for user in &users {
        links.push(fixture.deploy(user).await);
    }
    let (taken_back, _) = &links[0];
    let _revoked = fixture.bench.delete(&format!("/deployments/{taken_back}"), &fixture.tenant.key).await.expect(200);
    let _newer = fixture.deploy(&users[1]).await;
    let _phone = fixture.bench.register(&links[2].1, "cyds-phone").await.expect(201);
    let says = async |at: usize, why: &str| {
        for agent in [IPHONE, ANDROID, DESKTOP] {
            let reply = fixture.fetch(&format!("/r/{}", links[at].1), &[("user-agent", agent)]).await;
            let page = body(&reply);
            assert_eq!((reply.status().as_u16(), header(&reply, "location")), (410, String::new()), "{why} {agent}");
            assert!(page.contains(why) && !page.contains(&links[at].1), "{page}");
            expect_private_response(&reply);
        }
    };
    says(0, "This link was revoked").await;
    says(1, "A newer link was sent").await;
    says(2, "This link has been used").await;
    fixture.bench.advance(Duration::days(30));
    says(3, "This link has expired").await;

    let code = fixture.bench.invite(&fixture.tenant, &users[0], 1).await;
    let path = format!("/users/{}/invitations", users[0]);
    let invitation = fixture.all(&path).await[0]["invitation_id"].as_str().unwrap().to_owned();
    let _revoked = fixture.bench.delete(&format!("{path}/{invitation}"), &fixture.tenant.key).await.expect(200);
    let page = fixture.bench.call(Method::GET, &format!("/i/{code}"), None, None).await.expect(410);
    assert!(page.text.contains("This link was revoked"), "{}", page.text);
}

#[tokio::test]
async fn without_a_store_url_a_redirect_opens_the_app() {
    let nowhere = [("IosStoreUrl", ""), ("AndroidStoreUrl", ""), ("AppLinkScheme", "acme")];
    let fixture = Fixture::of(Setup::new().parameters(nowhere)).await;
    let user = fixture.user("ada").await;
    let (_deployment, code) = fixture.deploy(&user).await;
    for agent in [IPHONE, ANDROID] {
        let reply = fixture.fetch(&format!("/r/{code}"), &[("user-agent", agent)]).await;
        assert_eq!((reply.status().as_u16(), header(&reply, "location")), (302, format!("acme://r/{code}")));
    }
    let page = body(&fixture.fetch(&format!("/r/{code}"), &[("user-agent", DESKTOP)]).await);
    assert!(page.contains(&format!("acme://r/{code}")) && !page.contains("Install"), "{page}");
    let mail = &fixture.mails()[0];
    assert!(
        !mail.text.as_deref().unwrap().contains("the app yet")
            && !mail.html.as_deref().unwrap().contains("the app yet")
    );
}

#[tokio::test]
async fn another_username_takes_effect_in_one_commit_and_the_phones_re_enrol_in_place() {
    let recorder = RequestRecorder::new();
    let fixture = Fixture::of(Setup::new().with(recorder.adjust())).await;
    let (user, first, credential) = fixture.enrolled("ada").await;
    let _version = fixture.set_up(&credential).await;
    let invitation = fixture.bench.invite(&fixture.tenant, &user, 1).await;
    let second = fixture.bench.register(&invitation, "second").await.expect(201);
    let (second, second_credential) = (text(&second.body["device"]["device_id"]), second.get("credential"));
    let (old, old_code) = fixture.deploy(&user).await;
    let path = format!("/users/{user}");
    let _earlier = recorder.take();
    fixture.bench.advance(Duration::minutes(1));
    let renamed = fixture.patch(&path, json!({"username": "eve"})).await.expect(200);
    assert_eq!(renamed.get("username"), "eve");
    let calls = recorder.take();
    let commits = calls.iter().filter(|sent| sent.operation == "update-user" && !sent.call.is_read());
    let commits: Vec<&str> = commits.map(|sent| sent.call.action.as_str()).collect();
    assert_eq!(commits, ["TransactWriteItems"], "one commit");
    // Everything takes effect at once.
    for device in [&first, &second] {
        let commands = fixture.get(&format!("/devices/{device}/commands")).await;
        assert_eq!(
            (&commands["items"][0]["kind"], &commands["items"][0]["state"]),
            (&json!("factory_reset"), &json!("queued"))
        );
    }
    let shown = fixture.client_deployment(&user).await;
    assert_ne!(shown["deployment"]["deployment_id"], *old);
    assert_eq!(
        (text(&shown["deployment"]["status"]), text(&shown["deployment"]["delivery"]["state"])),
        ("open".into(), "queued".into())
    );
    let ended = fixture.bench.delete(&format!("/deployments/{old}"), &fixture.tenant.key).await.expect(409);
    assert_eq!(ended.code(), "invitation_over");
    let refused = fixture.bench.register(&old_code, "third").await.expect(410);
    assert_eq!(refused.code(), "code_superseded");

    let mails = fixture.mails().len();
    fixture.bench.drain().await;
    assert_eq!(fixture.mails().len(), mails + 1, "one new e-mail");
    let code = fixture.bench.newest_deployment_code().unwrap();
    assert_ne!(code, old_code);
    // A phone resets itself, and re-enrols by the new code in its own slot.
    let check_in = fixture.bench.check_in(&credential).await.expect(200);
    assert_eq!(check_in.body["commands"][0]["kind"], "factory_reset");
    let command = text(&check_in.body["commands"][0]["command_id"]);
    let _reported = fixture.bench.report_command(&credential, &command, "succeeded").await.expect(200);
    let ended = fixture.download(&credential).await.expect(401);
    assert_eq!(ended.code(), "re_enrol");
    let re_enrolled = fixture.bench.register(&code, "ada-phone").await.expect(201);
    assert_eq!(re_enrolled.body["device"]["device_id"], *first, "in its own slot");
    let credential = re_enrolled.get("credential");
    let check_in = fixture.bench.check_in(&credential).await.expect(200);
    assert_eq!((check_in.get("access"), &check_in.body["download_config"]), ("allowed".into(), &json!(true)));
    let config = fixture.download(&credential).await.expect(200);
    assert_eq!(config.body["settings"]["account"]["username"], "eve");
    // The same code re-enrols the other phone.
    // A phone that opens the link before its reset gets the order to reset, without using the code.
    let before = rows::everything(&fixture.bench);
    let refused = fixture.bench.register(&code, "second").await.expect(409);
    assert_eq!(refused.code(), "erasure_pending");
    assert!(before == rows::everything(&fixture.bench), "nothing has changed");
    let check_in = fixture.bench.check_in(&second_credential).await.expect(200);
    let command = &check_in.body["commands"][0];
    assert_eq!(command["kind"], "factory_reset");
    let _reported =
        fixture.bench.report_command(&second_credential, &text(&command["command_id"]), "succeeded").await.expect(200);
    let re_enrolled = fixture.bench.register(&code, "second").await.expect(201);
    assert_eq!(re_enrolled.body["device"]["device_id"], *second);
    // The code is used up.
    assert_eq!(fixture.bench.register(&code, "third").await.expect(410).code(), "code_used");
    assert_eq!(fixture.get(&path).await["devices"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn another_username_starts_no_deployment_without_enrolled_phones() {
    let fixture = Fixture::new().await;
    let key = &fixture.tenant.key;
    let rename = async |user: &str, to: &str| {
        let _renamed = fixture.bench.patch(&format!("/users/{user}"), key, json!({"username": to})).await.expect(200);
        fixture.bench.drain().await;
    };
    let started = async || fixture.events("deployment.started").await.len();
    // Never deployed, and no phone.
    let user = fixture.user("ada").await;
    rename(&user, "eve").await;
    assert_eq!((started().await, fixture.mails().len()), (0, 0));
    // A change of case is no other username.
    let (_deployment, _code) = fixture.deploy(&user).await;
    rename(&user, "EVE").await;
    assert_eq!((started().await, fixture.mails().len()), (1, 1));
    // An open deployment alone is followed by another one, if the user has an address.
    fixture.bench.advance(Duration::minutes(1));
    rename(&user, "eva").await;
    assert_eq!((started().await, fixture.mails().len()), (2, 2));
    let _updated = fixture.bench.patch(&format!("/users/{user}"), key, json!({"email": null})).await.expect(200);
    rename(&user, "ada").await;
    assert_eq!((started().await, fixture.mails().len()), (2, 2));
    // A user removed from client deployment stays removed.
    let out = fixture.user("bob").await;
    let _deployment = fixture.deploy(&out).await;
    let _removed = fixture.bench.delete(&format!("/deployments/users/{out}"), key).await.expect(200);
    let sent = fixture.mails().len();
    rename(&out, "ben").await;
    assert_eq!((started().await, fixture.mails().len()), (3, sent));
}

#[tokio::test]
async fn a_phone_is_ordered_once_to_download_and_gets_one_push() {
    let fixture = Fixture::new().await;
    let (user, device, credential) = fixture.enrolled("ada").await;
    let invitation = fixture.bench.invite(&fixture.tenant, &user, 1).await;
    let second = fixture.bench.register(&invitation, "second").await.expect(201);
    let version = fixture.set_up(&credential).await;
    fixture.bench.drain().await;
    fixture.bench.stack.messaging().clear();
    let path = format!("/users/{user}/force-config");
    let first = fixture.post(&path, json!({})).await.expect(200);
    fixture.bench.drain().await;
    let woken = || {
        let pushes = fixture.sent(Channel::Push);
        let to: BTreeSet<String> = pushes.iter().map(|push| push.to.clone()).collect();
        (pushes.len(), to.len())
    };
    assert_eq!(woken(), (2, 2), "each phone once");
    assert!(
        fixture.sent(Channel::Push).iter().all(|push| push.text.as_deref().unwrap().contains("user.config_forced"))
    );
    // A repetition changes nothing.
    let repeated = fixture.post(&path, json!({})).await.expect(200);
    fixture.bench.drain().await;
    assert_eq!(repeated.body, first.body);
    assert_eq!((woken(), fixture.events("user.config_forced").await.len()), ((2, 2), 1));
    assert_eq!(fixture.client_deployment(&user).await["force_pending"], true);
    // The same version counts if the phone has downloaded it again.
    let check_in = fixture.bench.check_in(&credential).await.expect(200);
    assert_eq!(check_in.body["download_config"], true);
    let config = fixture.download(&credential).await.expect(200);
    assert_eq!(config.get("config_version"), version);
    let check_in = fixture.bench.check_in(&credential).await.expect(200);
    assert_eq!(check_in.body["download_config"], true, "it was downloaded and not installed");
    let downloaded = async || text(&fixture.client_deployment(&user).await["downloaded_at"]);
    let before = downloaded().await;
    fixture.bench.advance(Duration::minutes(1));
    let check_in = fixture.report_installed(&credential, &version).await;
    assert_eq!(check_in.body["download_config"], false);
    assert!(downloaded().await > before, "a repeated installation is a download as well");
    assert_eq!(fixture.client_deployment(&user).await["force_pending"], true, "the other phone has not checked in");
    let _set_up = fixture.set_up(&second.get("credential")).await;
    assert_eq!(fixture.client_deployment(&user).await["force_pending"], false);
    // A forced download needs a new one: a report of the earlier version has no effect.
    let _forced = fixture.post(&path, json!({})).await.expect(200);
    let check_in = fixture.report_installed(&credential, &version).await;
    assert_eq!(check_in.body["download_config"], true);
    let forced = fixture.all("/users?force_pending=true").await;
    assert_eq!(forced.iter().map(|shown| text(&shown["user_id"])).collect::<Vec<_>>(), [user]);
    assert_eq!(fixture.events(&format!("device.config_installed&device_id={device}")).await.len(), 2);
}

#[tokio::test]
async fn a_phone_cannot_report_a_version_that_it_was_never_served() {
    let fixture = Fixture::new().await;
    let (user, _device, credential) = fixture.enrolled("ada").await;
    let _check_in = fixture.report_installed(&credential, "made-up").await;
    assert_eq!(fixture.client_deployment(&user).await["downloaded_at"], Value::Null);
    let version = fixture.download(&credential).await.expect(200).get("config_version");
    let _check_in = fixture.report_installed(&credential, "made-up").await;
    assert_eq!(fixture.client_deployment(&user).await["downloaded_at"], Value::Null, "another version was served");
    // An installation after the account was deleted is not recorded.
    let _undeployed =
        fixture.bench.delete(&format!("/deployments/users/{user}"), &fixture.tenant.key).await.expect(200);
    let _check_in = fixture.report_installed(&credential, &version).await;
    let user = fixture.bench.get(&format!("/users/{user}"), &fixture.tenant.key).await.expect(200).body;
    assert_eq!(user["downloaded_at"], Value::Null, "{user}");
}

#[tokio::test]
async fn a_bulk_force_config_orders_the_phones_of_many_users_to_download() {
    let fixture = Fixture::new().await;
    let (ada, _device, credential) = fixture.enrolled("ada").await;
    let _version = fixture.set_up(&credential).await;
    let (bob, _device, _credential) = fixture.enrolled("bob").await;
    let without = fixture.user("eve").await;
    let out = fixture.user("out").await;
    let _removed = fixture.bench.delete(&format!("/deployments/users/{out}"), &fixture.tenant.key).await.expect(200);
    let ids = [&ada, &bob, &without, &out];
    let answer = fixture.post("/users/bulk", json!({"action": "force_config", "ids": ids})).await.expect(207);
    let items = answer.body["items"].as_array().unwrap();
    let outcome = |user: &str| {
        let item = items.iter().find(|item| item["id"] == *user).unwrap();
        (text(&item["outcome"]), text(&item["code"]))
    };
    assert_eq!(outcome(&ada), ("changed".into(), String::new()));
    // Bob's phone registered by a deployment, so it must download anyway.
    assert_eq!(outcome(&bob), ("unchanged".into(), String::new()));
    assert_eq!(outcome(&without), ("unchanged".into(), String::new()));
    assert_eq!(outcome(&out), ("failed".into(), "not_deployed".into()));
    assert_eq!(fixture.bench.check_in(&credential).await.expect(200).body["download_config"], true);
    let body = json!({"action": "force_config", "filter": {"deployed": true}, "dry_run": true});
    let job = fixture.post("/users/bulk", body).await.expect(202);
    assert_eq!(job.body["progress"], json!({"done": 2, "changed": 0, "unchanged": 2, "failed": 0}));
}

#[tokio::test]
async fn an_auto_deploy_forces_the_configuration_if_it_was_downloaded_and_deploys_otherwise() {
    let fixture = Fixture::new().await;
    let key = &fixture.tenant.key;
    let (ada, _device, credential) = fixture.enrolled("ada").await;
    let _version = fixture.set_up(&credential).await;
    let bob = fixture.user("bob").await;
    let unreached = fixture.post("/users", json!({"username": "eve"})).await.expect(201).get("user_id");
    let out = fixture.user("out").await;
    let _removed = fixture.bench.delete(&format!("/deployments/users/{out}"), key).await.expect(200);
    let zoe = fixture.user("zoe").await;
    fixture.bench.drain().await;
    fixture.bench.stack.messaging().clear();
    let ids = json!([ada, bob, unreached, out, zoe]);
    let outcomes = |answer: &Answer| {
        let items = answer.body["items"].as_array().unwrap().clone();
        items
            .into_iter()
            .map(|item| (text(&item["id"]), (text(&item["outcome"]), text(&item["code"]))))
            .collect::<BTreeMap<_, _>>()
    };
    let of = |outcome: &str, code: &str| (outcome.to_owned(), code.to_owned());
    let expected = BTreeMap::from([
        (ada.clone(), of("changed", "")),
        (bob.clone(), of("changed", "")),
        (unreached.clone(), of("failed", "email_missing")),
        (out.clone(), of("unchanged", "")),
        (zoe.clone(), of("changed", "")),
    ]);
    // A dry run.
    let before = rows::everything(&fixture.bench);
    let dry = fixture.post("/deployments/auto", json!({"ids": ids, "dry_run": true})).await.expect(207);
    assert_eq!((outcomes(&dry), &dry.body["job_id"]), (expected.clone(), &Value::Null));
    assert!(before == rows::everything(&fixture.bench), "a dry run changes nothing");
    let dry = fixture.post("/deployments/auto", json!({"filter": {}, "dry_run": true})).await.expect(202);
    assert_eq!(dry.body["progress"], json!({"done": 5, "changed": 3, "unchanged": 1, "failed": 1}));
    fixture.bench.drain().await;
    assert_eq!((fixture.mails().len(), fixture.events("deployment.started").await.len()), (0, 1));
    // Some of them.
    let some = fixture.post("/deployments/auto", json!({"filter": {"search": "zoe"}})).await.expect(202);
    assert_eq!(some.body["progress"], json!({"done": 1, "changed": 1, "unchanged": 0, "failed": 0}));
    assert_eq!((text(&some.body["kind"]), text(&some.body["action"])), ("users".into(), "auto_deploy".into()));
    // All of them.
    fixture.bench.advance(Duration::minutes(1));
    let response = fixture.post("/deployments/auto", json!({"ids": ids})).await.expect(207);
    assert_eq!(outcomes(&response), expected);
    fixture.bench.drain().await;
    let shown = async |user: &str| fixture.client_deployment(user).await;
    assert_eq!(shown(&ada).await["force_pending"], true);
    assert_eq!(fixture.bench.check_in(&credential).await.expect(200).body["download_config"], true);
    let mut to: Vec<String> = fixture.mails().into_iter().map(|mail| mail.to).collect();
    to.sort();
    assert_eq!(
        to,
        ["bob@example.com", "zoe@example.com"],
        "zoe's first deployment was superseded before its e-mail was sent"
    );
    let left_out = shown(&out).await;
    assert!(left_out["removed_at"].is_string() && left_out["deployment"].is_null());
    assert_eq!(shown(&unreached).await["deployment"], Value::Null);
    let events = fixture.events("user.config_forced").await;
    assert_eq!((events.len(), &events[0]["job_id"]), (1, &response.body["job_id"]));
}

#[tokio::test]
async fn an_auto_deploy_ends_when_its_creator_loses_the_permission() {
    let fixture = Fixture::new().await;
    for number in 0..120 {
        let _user = fixture.user(&format!("user{number:03}")).await;
    }
    fixture.bench.drain().await;
    let deployer = async |name: &str| {
        let body = json!({"name": name, "permissions": ["deployments:manage"]});
        let created = fixture.post("/keys", body).await.expect(201);
        (created.get("key"), created.get("key_id"))
    };
    let (key, _key_id) = deployer("stays").await;
    let (going, going_id) = deployer("goes").await;
    let begin = async |key: &str| {
        let started = fixture.bench.post("/deployments/auto", key, json!({"filter": {}})).await.expect(202);
        assert_eq!((started.get("state"), &started.body["progress"]["done"]), ("running".into(), &json!(50)));
        started.get("job_id")
    };
    let run_on = async || {
        fixture.bench.advance(Duration::minutes(2));
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
    };
    let job = begin(&key).await;
    run_on().await;
    let finished_job = fixture.get(&format!("/jobs/{job}")).await;
    assert_eq!((text(&finished_job["state"]), &finished_job["progress"]["changed"]), ("finished".into(), &json!(120)));
    let job = begin(&going).await;
    let _revoked = fixture.bench.delete(&format!("/keys/{going_id}"), &fixture.tenant.key).await.expect(200);
    run_on().await;
    let finished_job = fixture.get(&format!("/jobs/{job}")).await;
    assert_eq!((text(&finished_job["state"]), &finished_job["progress"]["changed"]), ("canceled".into(), &json!(50)));
}

#[tokio::test]
async fn an_ended_deployments_link_and_qr_code_are_invalid() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ada").await;
    let (revoked, code) = fixture.deploy(&user).await;
    let path = format!("/deployments/{revoked}");
    let ended = fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200);
    assert_eq!(ended.get("status"), "revoked");
    assert!(!ended.headers.contains_key("etag"), "no read shows its version");
    assert_eq!(
        fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200).body,
        ended.body,
        "a repetition gets the same response"
    );
    assert_eq!(fixture.bench.register(&code, "phone").await.expect(410).code(), "code_revoked");
    let refused = fixture.bench.get(&format!("{path}/qr"), &fixture.tenant.key).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (410, "code_revoked"));
    let (expired, code) = fixture.deploy(&user).await;
    fixture.bench.advance(Duration::days(8));
    assert_eq!(fixture.bench.register(&code, "phone").await.expect(410).code(), "code_expired");
    let _run = fixture.bench.run_due().await;
    assert!(rows::all(&fixture.bench, rows::SECRETS).is_empty(), "no code is left");
    let refused = fixture.bench.get(&format!("/deployments/{expired}/qr"), &fixture.tenant.key).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (410, "code_expired"));
    assert_eq!(fixture.events("deployment.expired").await.len(), 1);
    // Operations of invitations do not find deployments, and the other way round.
    let (open, code) = fixture.deploy(&user).await;
    let as_invitation = format!("/users/{user}/invitations/{open}");
    assert_eq!(
        fixture.bench.delete(&as_invitation, &fixture.tenant.key).await.expect(404).code(),
        "invitation_not_found"
    );
    assert_eq!(fixture.get(&format!("/users/{user}/invitations")).await["items"], json!([]));
    assert_eq!(fixture.bench.call(Method::POST, &format!("/i/{code}"), None, None).await.status, 404);
    let invite = json!({"channel": "email"});
    let invitation = fixture.post(&format!("/users/{user}/invite"), invite).await.expect(202).get("invitation_id");
    for (method, suffix) in [(Method::DELETE, ""), (Method::GET, "/qr")] {
        let path = format!("/deployments/{invitation}{suffix}");
        let refused = fixture.bench.call(method, &path, Some(&fixture.tenant.key), None).await.expect(404);
        assert_eq!(refused.code(), "deployment_not_found");
    }
    assert_eq!(
        fixture.client_deployment(&user).await["deployment"]["status"],
        "open",
        "an invitation ends no deployment"
    );
}

#[tokio::test]
async fn an_undeployed_users_client_account_is_deleted_and_starts_empty_again() {
    let fixture = Fixture::new().await;
    let (user, device, credential) = fixture.enrolled("ada").await;
    let key = &fixture.tenant.key;
    let _version = fixture.set_up(&credential).await;
    let path = format!("/users/{user}");
    let edit = json!({"sip_user_name": "sip", "overrides": {"a": 1}});
    let _edited = fixture.bench.patch(&path, key, edit).await.expect(200);
    let _secrets_set =
        fixture.bench.put(&format!("{path}/secrets"), key, json!({"voicemail_pin": "4711"})).await.expect(200);
    let (_open, code) = fixture.deploy(&user).await;
    let removed = fixture.bench.delete(&format!("/deployments{path}"), key).await.expect(200);
    assert_eq!((removed.get("status"), &removed.body["devices"][0]["device_id"]), ("active".into(), &json!(device)));
    assert_eq!(fixture.bench.register(&code, "another").await.expect(410).code(), "code_revoked");
    assert!(rows::all(&fixture.bench, rows::SECRETS).is_empty(), "the code and the secrets are deleted");
    let shown = fixture.get(&path).await;
    assert_eq!(
        (&shown["overrides"], &shown["secrets"], &shown["sip_user_name"]),
        (&json!({}), &json!({}), &Value::Null)
    );
    assert_eq!(fixture.bench.check_in(&credential).await.expect(200).get("access"), "allowed", "the phone stays");
    let before = rows::everything(&fixture.bench);
    let repeated = fixture.bench.delete(&format!("/deployments{path}"), key).await.expect(200);
    assert_eq!(repeated.get("user_id"), user);
    assert!(before == rows::everything(&fixture.bench), "a repetition changes nothing");
    let (_deployment, _code) = fixture.deploy(&user).await;
    assert_eq!(fixture.client_deployment(&user).await["removed_at"], Value::Null);
    let _config = fixture.download(&credential).await.expect(200);
}

#[tokio::test]
async fn a_users_overrides_are_validated_by_the_profiles_schema_with_every_error() {
    let fixture = Fixture::new().await;
    let key = &fixture.tenant.key;
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "properties": {"port": {"type": "integer"}, "theme": {"enum": ["dark", "light"]}},
    });
    let profile = json!({"name": "Strict", "settings": {"port": 1}, "schema": schema});
    let profile = fixture.post("/profiles", profile).await.expect(201).get("profile_id");
    let user = fixture.user("ada").await;
    let path = format!("/users/{user}");
    let bad = json!({"profile_id": profile, "overrides": {"port": "x", "theme": "pink", "more": 1}});
    let refused = fixture.bench.patch(&path, key, bad).await.expect(422);
    let faults: BTreeSet<String> =
        refused.body["errors"].as_array().unwrap().iter().map(|fault| text(&fault["field"])).collect();
    assert!(faults.iter().all(|field| field.starts_with("overrides")) && faults.len() >= 2, "{}", refused.text);
    assert!(!refused.text.contains("pink"), "the response repeats no value: {}", refused.text);
    let _good = fixture.bench.patch(&path, key, json!({"overrides": {"port": 7}})).await.expect(200);

    // A new user may have overrides.
    let new = |overrides: Value| json!({"username": "bea", "profile_id": profile, "overrides": overrides});
    let refused = fixture.post("/users", new(json!({"port": "x"}))).await.expect(422);
    assert!(text(&refused.body["errors"][0]["field"]).starts_with("overrides"), "{}", refused.text);
    let nobodys = json!({"username": "bea", "profile_id": "0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e"});
    assert_eq!(fixture.post("/users", nobodys).await.expect(422).body["errors"][0]["field"], "profile_id");
    let created = fixture.post("/users", new(json!({"port": 7}))).await.expect(201).body;
    assert_eq!(created["profile_id"], json!(profile));
    let refused = fixture.bench.delete(&format!("/profiles/{profile}"), key).await.expect(409);
    assert_eq!(refused.code(), "profile_in_use");
    let events = fixture.events("user.created").await;
    let event = events.iter().find(|event| event["user_id"] == created["user_id"]).unwrap();
    assert_eq!(
        (&event["changes"]["profile_id"]["after"], &event["changed_fields"]),
        (&json!(profile), &json!(["overrides"]))
    );
}

/// Creates a key with these permissions only.
async fn key(fixture: &Fixture, permissions: &[&str]) -> String {
    fixture.bench.key(&fixture.tenant, permissions).await.get("key")
}

/// Creates a user with a deployment, a set-up phone and a secret.
async fn user_with_secret(fixture: &Fixture, username: &str) -> (String, String) {
    let (user, _device, credential) = fixture.enrolled(username).await;
    let secrets = json!({"pbx_sip_password": "correct horse", "voicemail_pin": "4711"});
    let path = format!("/users/{user}/secrets");
    let _updated = fixture.put(&path, secrets).await.expect(200);
    let _version = fixture.set_up(&credential).await;
    (user, credential)
}

#[tokio::test]
async fn the_permission_to_invite_gives_no_access_to_secrets() {
    let fixture = Fixture::new().await;
    let bench = &fixture.bench;
    let helpdesk = key(&fixture, &["users:read", "users:manage", "devices:read", "devices:manage"]).await;
    let (user, theirs) = user_with_secret(&fixture, "ada").await;
    let path = format!("/users/{user}");
    let invited = async |identifier: &str| {
        let invite = format!("{path}/invite");
        let _invited =
            bench.post_after_message_limit(&invite, &helpdesk, json!({"channel": "email"})).await.expect(202);
        bench.drain().await;
        bench.register(&bench.newest_code().unwrap(), identifier).await.expect(201).get("credential")
    };
    let _changed = bench.patch(&path, &helpdesk, json!({"email": "mallory@example.org"})).await.expect(200);
    // The helpdesk's phone, and the user's phone instead of it.
    for identifier in ["mallorys-phone", "ada-phone"] {
        let credential = invited(identifier).await;
        let check_in = bench.check_in(&credential).await.expect(200);
        assert_eq!((check_in.get("access"), &check_in.body["download_config"]), ("allowed".into(), &json!(false)));
        let refused = fixture.download(&credential).await.expect(409);
        assert_eq!(refused.code(), "device_not_deployed");
        assert!(!refused.text.contains("horse"));
    }
    assert_eq!(fixture.download(&theirs).await.expect(401).code(), "re_enrol");

    // An admin with the permission starts one for the user's phones; the response shows the address.
    let credential = invited("another").await;
    let created = fixture.post(&format!("{path}/deploy"), json!({})).await.expect(202);
    assert_eq!(created.get("sent_to"), "m…y@example.org");
    let warning = &created.body["warnings"][0];
    assert_eq!(
        (&warning["code"], &warning["at"]),
        (&json!("address_changed_recently"), &json!("2026-11-23T08:00:00.000Z"))
    );
    assert_eq!(fixture.client_deployment(&user).await["deployment"]["warnings"], created.body["warnings"]);
    bench.advance(Duration::minutes(1));
    let many = fixture.post("/users/bulk", json!({"action": "deploy", "ids": [user]})).await.expect(200);
    assert_eq!(many.body["items"][0]["warnings"], created.body["warnings"]);
    assert!(fixture.download(&credential).await.expect(200).text.contains("horse"));
    assert_eq!(bench.check_in(&credential).await.expect(200).body["download_config"], true, "one was downloaded");
    bench.advance(Duration::days(7));
    let later = fixture.post(&format!("{path}/deploy"), json!({})).await.expect(202);
    assert_eq!(later.body["warnings"], json!([]));
    // A phone that registers later has no configuration until it is ordered to download one.
    let credential = invited("another").await;
    let _refused = fixture.download(&credential).await.expect(409);
    let _forced = fixture.post(&format!("{path}/force-config"), json!({})).await.expect(200);
    assert_eq!(bench.check_in(&credential).await.expect(200).body["download_config"], true);
    let _config = fixture.download(&credential).await.expect(200);
    // A user who was removed gets it again only by the next deployment.
    let _undeployed = bench.delete(&format!("/deployments/users/{user}"), &fixture.tenant.key).await.expect(200);
    let _refused = fixture.download(&credential).await.expect(409);
    assert_eq!(bench.check_in(&credential).await.expect(200).body["download_config"], false);
}

#[tokio::test]
async fn a_rename_without_the_permission_to_deploy_gives_no_access_to_secrets() {
    let fixture = Fixture::new().await;
    let bench = &fixture.bench;
    let helpdesk = key(&fixture, &["users:manage", "users:wipe"]).await;
    let rename = async |user: &str, edit: Value| {
        bench.advance(Duration::minutes(1));
        let _renamed = bench.patch(&format!("/users/{user}"), &helpdesk, edit).await.expect(200);
        bench.drain().await;
    };
    let newest = || fixture.mails()[0].text.clone().unwrap();
    // A rename is followed by a deployment if the address is the one of the last deployment.
    let (user, _credential) = user_with_secret(&fixture, "ada").await;
    rename(&user, json!({"username": "eve"})).await;
    assert!(newest().contains("/r/"), "{}", newest());
    // With another address, or without an earlier deployment, it is followed by an invitation.
    rename(&user, json!({"username": "eva", "email": "mallory@example.org"})).await;
    assert!(newest().contains("/i/"), "{}", newest());
    rename(&user, json!({"username": "mia"})).await;
    assert!(newest().contains("/i/"), "{}", newest());
    let shown = fixture.client_deployment(&user).await;
    assert_eq!(shown["deployment"]["status"], "revoked");
    let (never, _phones) = bench.user_with_phones(&fixture.tenant, "bob", 2).await;
    rename(&never, json!({"username": "ben"})).await;
    let invitations = fixture.get(&format!("/users/{never}/invitations")).await;
    assert_eq!((&invitations["items"][0]["devices"], &invitations["items"][0]["status"]), (&json!(2), &json!("open")));
    // With the permission to deploy it is a deployment to any address.
    let admin = json!({"username": "may"});
    let _renamed = bench.patch(&format!("/users/{user}"), &fixture.tenant.key, admin).await.expect(200);
    bench.drain().await;
    assert!(newest().contains("/r/"), "{}", newest());
}

#[tokio::test]
async fn a_delayed_deployment_after_a_rename_gives_no_access_to_secrets() {
    let fixture = Fixture::new().await;
    let bench = &fixture.bench;
    let helpdesk = key(&fixture, &["users:manage"]).await;
    let (edit, admin) = (json!({"username": "eve", "email": "mallory@example.org"}), json!({"number": "4712"}));
    let newest = || fixture.mails()[0].clone();
    // A suspended user with a deployment is renamed, and activated by an admin who may deploy.
    let user = fixture.user("ada").await;
    let _deployment = fixture.deploy(&user).await;
    let path = format!("/users/{user}");
    bench.advance(Duration::minutes(1));
    let _suspended = bench.post(&format!("{path}/suspend"), &helpdesk, json!({})).await.expect(200);
    let _renamed = bench.patch(&path, &helpdesk, edit).await.expect(200);
    bench.advance(Duration::minutes(1));
    let _activated = bench.post(&format!("{path}/activate"), &fixture.tenant.key, json!({})).await.expect(200);
    bench.drain().await;
    assert!(newest().text.unwrap().contains("/i/"), "an invitation, which gives no secrets");
    // The message limit delays the deployment; an admin's edit does not release it.
    let other = bench.user(&fixture.tenant, "bob").await;
    let path = format!("/users/{other}");
    let _deployment = fixture.deploy(&other).await;
    bench.advance(Duration::seconds(1));
    let shared = json!({"email": "mallory@example.org"});
    let _moved = bench.patch(&path, &helpdesk, shared).await.expect(200);
    let _renamed = bench.patch(&path, &helpdesk, json!({"username": "ben"})).await.expect(200);
    let sent = fixture.mails().len();
    let _edited = bench.patch(&path, &fixture.tenant.key, admin).await.expect(200);
    bench.drain().await;
    assert_eq!(fixture.mails().len(), sent, "it waits for the limit of a minute");
    bench.advance(Duration::minutes(1));
    assert_eq!(bench.run_due().await["failed"], 0);
    bench.drain().await;
    assert!(fixture.mails().len() == sent + 1 && newest().text.unwrap().contains("/i/"));
}

#[tokio::test]
async fn a_delayed_deployment_after_an_admins_rename_is_not_repeated_if_one_was_started() {
    let fixture = Fixture::new().await;
    let bench = &fixture.bench;
    let rename = async |user: &str, to: &str| {
        let edit = json!({"username": to});
        let _renamed = bench.patch(&format!("/users/{user}"), &fixture.tenant.key, edit).await.expect(200);
        bench.drain().await;
    };
    let due = async || {
        bench.advance(Duration::minutes(2));
        assert_eq!(bench.run_due().await["failed"], 0);
        bench.drain().await;
    };
    // Without an earlier deployment; the message limit delays the second rename's deployment by a minute.
    let (user, _phones) = bench.user_with_phones(&fixture.tenant, "ada", 1).await;
    rename(&user, "eve").await;
    rename(&user, "eva").await;
    let sent = fixture.mails().len();
    due().await;
    assert!(fixture.mails().len() == sent + 1 && fixture.mails()[0].text.clone().unwrap().contains("/r/"));
    // A deployment that an admin starts meanwhile replaces it.
    rename(&user, "mia").await;
    rename(&user, "may").await;
    bench.advance(Duration::minutes(1));
    let _deployment = fixture.deploy(&user).await;
    let sent = fixture.mails().len();
    due().await;
    assert_eq!(fixture.mails().len(), sent, "nothing is due any more");
}

#[tokio::test]
async fn another_address_or_number_ends_open_invitations_and_deployments_by_every_route() {
    let fixture = Fixture::new().await;
    let (bench, tenant) = (&fixture.bench, &fixture.tenant);
    let source = json!({"name": "File", "kind": "csv", "mapping": {"username": "login", "email": "mail"}});
    let source = fixture.post("/sources", source).await.expect(201).get("source_id");
    let upload = async |number: u32, rows: &str| {
        let id = format!("0190f3c4-7b5e-7a11-8c1d-00000000000{number}");
        let path = format!("/sources/{source}/parts/1?upload={id}&last=true");
        let _synced = bench.upload(tenant, &path, &format!("login,mail\n{rows}")).await.expect(202);
        bench.drain().await;
    };
    let call = async |method: Method, path: &str, body: Value| {
        let _changed = bench.call(method, path, Some(&tenant.key), Some(&body)).await.expect(200);
    };
    upload(1, "sync,sync@example.com\n").await;
    for way in ["native", "number", "removed", "seam", "scim-patch", "scim-put", "sync"] {
        let user = match way {
            "sync" => text(&fixture.get("/users?search=sync").await["items"][0]["user_id"]),
            _ => fixture.user(way).await,
        };
        if way.starts_with("scim") {
            // An adopted user keeps their fields, which the provider changes from then on.
            let taken = json!({"userName": way, "emails": [{"value": format!("{way}@example.com")}]});
            call(Method::PUT, &format!("/scim/v2/Users/{user}"), taken).await;
            let release = json!({"release": ["first_name", "last_name", "email", "mobile", "number"]});
            call(Method::PATCH, &format!("/users/{user}"), release).await;
        }
        let invited = bench.invite(tenant, &user, 1).await;
        let (deployment, deployed) = fixture.deploy(&user).await;
        bench.advance(Duration::minutes(1));
        let native = format!("/users/{user}");
        let scim = format!("/scim/v2/Users/{user}");
        let emails = json!([{"value": "new@example.org", "type": "work"}]);
        match way {
            "native" => call(Method::PATCH, &native, json!({"email": "new@example.org"})).await,
            "number" => call(Method::PATCH, &native, json!({"mobile": "+491709999999"})).await,
            "removed" => call(Method::PATCH, &native, json!({"email": null})).await,
            "seam" => {
                let body = json!({"user_identity_id": user, "email_address": "new@example.org"});
                call(Method::PATCH, "/user_identities/update", body).await;
            }
            "scim-patch" => {
                let patch = json!([{"op": "replace", "path": "emails", "value": emails}]);
                let schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
                call(Method::PATCH, &scim, json!({"schemas": schemas, "Operations": patch})).await;
            }
            "scim-put" => call(Method::PUT, &scim, json!({"userName": way, "emails": emails})).await,
            _ => upload(2, "sync,new@example.org\n").await,
        }
        for (code, what) in [(invited, "invitation"), (deployed, "deployment")] {
            let refused = bench.register(&code, &format!("{way}-{what}")).await.expect(410);
            assert_eq!(refused.code(), "code_revoked", "{way}: {what}");
        }
        // In the very commit that changes them.
        let events = bench.list_all(tenant, &format!("/events?user_id={user}")).await;
        let of = |event_type: &str| {
            let event = events.iter().find(|event| event["event_type"] == event_type);
            let event = event.unwrap_or_else(|| panic!("{way}: no {event_type}"));
            (event["request_id"].clone(), event["created_at"].clone())
        };
        assert_eq!(
            [of("invitation.revoked"), of("deployment.revoked")],
            [of("user.updated"), of("user.updated")],
            "{way}"
        );
        let shown = fixture.client_deployment(&user).await;
        assert_eq!(
            (text(&shown["deployment"]["deployment_id"]), text(&shown["deployment"]["status"])),
            (deployment, "revoked".into())
        );
    }
    // Edits of other fields end nothing.
    let user = fixture.user("same").await;
    let invited = bench.invite(tenant, &user, 1).await;
    let same = json!({"email": "same@example.com", "mobile": "+49 170 1234567", "first_name": "Eda"});
    call(Method::PATCH, &format!("/users/{user}"), same).await;
    let _registered = bench.register(&invited, "same").await.expect(201);
}
