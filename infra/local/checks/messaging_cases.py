"""Runs the same test cases against the local stack's SNS and SESv2 endpoint and against moto_server.

    python messaging_cases.py OURS [MOTO]
    python messaging_cases.py OURS --moto

OURS and MOTO are URLs; --moto starts moto_server on a free port of 127.0.0.1, and stops it afterwards.
`cargo run --example messaging` serves OURS and prints its URL.

Each case tests a behaviour of AWS. OURS must pass every case. MOTO must pass every case except those in MOTO_DIFFERS,
which must fail as described there: a difference that no longer exists must be removed from the table. Prints a line for
each case; the exit status is 1 if an outcome was unexpected.
"""

import argparse
import base64
import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

REGION = "eu-central-1"
SENDER = "sender@example.com"
LIMIT = 256 * 1024

# By case: part of the error message with moto, and how moto differs from AWS.
MOTO_DIFFERS = {
    "application_of_an_unknown_platform_is_refused": ('accepted', 'accepts any platform name; AWS lists them in CreatePlatformApplication'),
    "application_without_a_credential_is_refused": ('accepted', "requires no credential; AWS: 'serverAPIKey is not provided', 400"),
    "token_is_known_within_its_application_only": ('True', 'searches every application for a token; AWS searches one'),
    "ios_token_comes_back_in_lower_case": ("'CASE-", "keeps its case; AWS: 'returned in lowercase' (GetEndpointAttributes)"),
    "unknown_attribute_of_an_endpoint_is_refused": ('accepted', 'stores any attribute; AWS names Token, Enabled and CustomUserData'),
    "user_data_of_an_endpoint_is_bounded": ('accepted', 'has no limit; AWS: 2048 bytes'),
    "token_of_another_endpoint_cannot_be_set": ('accepted', 'allows two endpoints with the same token'),
    "push_to_a_missing_endpoint_is_an_invalid_parameter": ("(404, 'NotFound')", "answers NotFound; AWS: InvalidParameter, 'No endpoint found for the target arn specified'"),
    "push_with_a_malformed_payload_is_refused": ('accepted', "does not check the message; AWS: 'Invalid notification for protocol …'"),
    "push_without_an_entry_for_its_platform_is_refused": ('accepted', "does not check the message; AWS: 'JSON must contain an entry for …'"),
    "phone_number_without_plus_is_refused": ('accepted', 'accepts a number without the plus sign'),
    "phone_number_that_is_too_long_is_named": ("'Phone number does not meet the E164 format'", 'has another error message; AWS names the number'),
    "publish_to_nowhere_is_refused": ('500 Internal Server Error', 'answers 500; AWS: InvalidParameter'),
    "publish_to_two_places_is_refused": ('accepted', 'uses the phone number and ignores the topic; AWS allows one of the three'),
    "publish_to_no_arn_is_refused": ("'not enough values to unpack (expected 6, got 1)'", "returns a Python error; AWS counts the ARN's elements"),
    "empty_message_is_refused": ('accepted', "publishes it; AWS: 'Empty message'"),
    "empty_subject_is_refused": ('accepted', "publishes it; AWS: 'Subject'"),
    "subject_with_a_line_break_is_refused": ('accepted', 'publishes it; AWS allows no line breaks or control characters'),
    "message_of_too_many_bytes_is_refused": ('accepted', 'counts characters; AWS counts bytes'),
    "attributes_count_towards_the_limit": ('accepted', 'counts only the body; AWS also counts attributes'),
    "structured_message_needs_a_default": ('accepted', 'checks the message only if there is a subscriber'),
    "structured_message_must_be_json": ('accepted', 'checks the message only if there is a subscriber'),
    "attribute_of_a_bad_type_is_refused": ("(400, 'InvalidParameter')", 'answers InvalidParameter; AWS: ParameterValueInvalid'),
    "attribute_that_is_no_number_is_refused": ("(400, 'InvalidParameter')", 'answers InvalidParameter; AWS: ParameterValueInvalid'),
    "attribute_with_a_bad_name_is_refused": ('accepted', 'accepts any name; AWS: ParameterValueInvalid'),
    "empty_batch_is_refused": ('accepted', 'answers with two empty lists; AWS: EmptyBatchRequest'),
    "batch_with_a_bad_id_is_refused": ('accepted', 'accepts any id; AWS: InvalidBatchEntryId'),
    "batch_that_is_too_long_together_is_refused": ('accepted', 'applies the limit to each entry; AWS applies it to the sum: BatchRequestTooLong'),
    "batch_answers_for_each_entry": ("['bad', 'good']", 'publishes empty messages, so nothing fails'),
    "unverified_identity_may_not_send": ('accepted', 'treats every created identity as verified'),
    "stranger_is_refused_in_ses_words": ("'Email address not verified stranger@elsewhere.example'", 'has another error message'),
    "identity_that_exists_is_refused": ('accepted', 'replaces it; AWS: AlreadyExistsException'),
    "new_identity_is_pending": ("'SUCCESS'", 'says SUCCESS; AWS: PENDING until the link in its e-mail is followed'),
    "configuration_set_that_exists_is_refused": ("(400, 'ConfigurationSetAlreadyExistsException')", "answers with v1's ConfigurationSetAlreadyExistsException; v2 has AlreadyExistsException"),
    "configuration_set_with_a_bad_name_is_refused": ('accepted', "accepts any name; AWS: letters, digits, '_' and '-'"),
    "unknown_configuration_set_is_refused": ('accepted', 'ignores it; AWS: NotFoundException'),
    "bad_tags_are_refused": ('accepted', "ignores tags; AWS: only ASCII letters, digits, '_' and '-'"),
    "email_to_nobody_is_refused": ('accepted', 'sends it; AWS refuses a message without recipients'),
    "email_to_too_many_is_refused": ("(400, 'MessageRejected')", "answers MessageRejected; v2: BadRequestException, 'Recipient count exceeds 50'"),
    "email_to_no_address_is_refused": ("(400, 'InvalidParameterValue')", "answers with v1's InvalidParameterValue; v2 has BadRequestException"),
    "email_without_content_is_refused": ("(500, '500')", 'answers 500; AWS: BadRequestException'),
    "email_without_a_body_is_refused": ("(500, '500')", 'answers 500; AWS: BadRequestException'),
    "inline_picture_without_a_name_is_refused": ('accepted', 'ignores attachments; FileName is required'),
    "unknown_action_is_refused": ('500', 'answers 500; AWS: InvalidAction, 400'),
}


class Mismatch(Exception):
    """The behaviour differs from that of AWS."""


def same(found, expected):
    if found != expected:
        raise Mismatch(f"{found!r} instead of {expected!r}")


def refused(status, code, call, *, says=None):
    """Checks that the call is refused with that status, code and, if given, message."""
    try:
        reply = call()
    except ClientError as error:
        found = error.response
        same((found["ResponseMetadata"]["HTTPStatusCode"], found["Error"]["Code"]), (status, code))
        if says is not None:
            same(found["Error"]["Message"], says)
        return
    raise Mismatch(f"accepted: {reply!r}")


class Subject:
    """An endpoint with its clients and the helpers of the cases."""

    def __init__(self, url):
        config = Config(retries={"max_attempts": 0}, parameter_validation=False)
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        make = lambda service: boto3.client(service, region_name=REGION, endpoint_url=url, config=config, **keys)
        self.url, self.sns, self.ses = url, make("sns"), make("sesv2")
        self.topic = self.sns.create_topic(Name="cases")["TopicArn"]
        try:
            self.ses.get_email_identity(EmailIdentity=SENDER)
        except ClientError:
            self.ses.create_email_identity(EmailIdentity=SENDER)

    def application(self, platform="GCM"):
        attributes = {"PlatformCredential": "key", "PlatformPrincipal": "principal"}
        reply = self.sns.create_platform_application(Name=unique(), Platform=platform, Attributes=attributes)
        return reply["PlatformApplicationArn"]

    def endpoint(self, application, token=None, **more):
        reply = self.sns.create_platform_endpoint(PlatformApplicationArn=application, Token=token or unique(), **more)
        return reply["EndpointArn"]

    def attributes(self, endpoint):
        return self.sns.get_endpoint_attributes(EndpointArn=endpoint)["Attributes"]

    def publish(self, **what):
        return self.sns.publish(**{"TopicArn": self.topic, "Message": "m", **what})["MessageId"]

    def batch(self, *entries):
        return self.sns.publish_batch(TopicArn=self.topic, PublishBatchRequestEntries=list(entries))

    def email(self, **what):
        return self.ses.send_email(**{
            "FromEmailAddress": SENDER,
            "Destination": {"ToAddresses": ["ada@example.com"]},
            "Content": simple(),
            **what,
        })["MessageId"]


def unique():
    return f"case-{uuid.uuid4().hex[:12]}"


def simple(**more):
    message = {"Subject": {"Data": "Subject"}, "Body": {"Text": {"Data": "Text"}}, **more}
    return {"Simple": message}


def missing_endpoint(application):
    return application.replace(":app/", ":endpoint/") + "/00000000-0000-4000-8000-000000000000"


def exists_with_other_attributes(arn):
    return f"Invalid parameter: Token Reason: Endpoint {arn} already exists with the same Token, but different attributes."


# Topics


def topic_is_created_once(s):
    same(s.sns.create_topic(Name="cases")["TopicArn"], s.topic)
    same(s.topic, f"arn:aws:sns:{REGION}:123456789012:cases")


def topic_with_a_bad_name_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.sns.create_topic(Name="a b"))


def unknown_action_is_refused(s):
    body = b"Action=NoSuchAction&Version=2010-03-31"
    headers = {"authorization": f"AWS4-HMAC-SHA256 Credential=x/20260101/{REGION}/sns/aws4_request, SignedHeaders=host, Signature=x"}
    request = urllib.request.Request(s.url, body, headers)
    try:
        urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        same(error.code, 400)
        same(b"<Code>InvalidAction</Code>" in error.read(), True)
        return
    raise Mismatch("accepted")


# Platform applications and endpoints


def application_of_an_unknown_platform_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.application("PIGEON"))


def application_without_a_credential_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.sns.create_platform_application(Name=unique(), Platform="GCM", Attributes={}))


def endpoint_has_an_arn_of_its_application(s):
    application = s.application()
    same(s.endpoint(application).startswith(application.replace(":app/", ":endpoint/") + "/"), True)


def endpoint_of_a_missing_application_is_refused(s):
    arn = s.application() + "2"
    refused(404, "NotFound", lambda: s.endpoint(arn), says="PlatformApplication does not exist")


def same_token_is_the_same_endpoint(s):
    application, token = s.application(), unique()
    first = s.endpoint(application, token)
    same(s.endpoint(application, token), first)
    same(s.endpoint(application, token, Attributes={"Enabled": "true"}), first)


def same_token_and_attributes_is_the_same_endpoint(s):
    what = {"application": s.application(), "token": unique(), "CustomUserData": "data", "Attributes": {"Enabled": "false"}}
    same(s.endpoint(**what), s.endpoint(**what))


def same_token_with_user_data_is_refused(s):
    application, token = s.application(), unique()
    arn = s.endpoint(application, token)
    refused(400, "InvalidParameter", lambda: s.endpoint(application, token, CustomUserData="data"), says=exists_with_other_attributes(arn))


def same_token_otherwise_enabled_is_refused(s):
    application, token = s.application(), unique()
    arn = s.endpoint(application, token, Attributes={"Enabled": "false"})
    refused(400, "InvalidParameter", lambda: s.endpoint(application, token, Attributes={"Enabled": "true"}), says=exists_with_other_attributes(arn))


def token_is_known_within_its_application_only(s):
    token = unique()
    first = s.endpoint(s.application(), token)
    same(s.endpoint(s.application(), token) == first, False)


def new_endpoint_is_enabled(s):
    token = unique()
    same(s.attributes(s.endpoint(s.application(), token)), {"Enabled": "true", "Token": token})


def user_data_comes_back(s):
    arn = s.endpoint(s.application(), Attributes={"CustomUserData": "a <b> & c"})
    same(s.attributes(arn)["CustomUserData"], "a <b> & c")


def ios_token_comes_back_in_lower_case(s):
    token = unique().upper()
    same(s.attributes(s.endpoint(s.application("APNS"), token))["Token"], token.lower())


def attributes_can_be_set(s):
    arn, attributes = s.endpoint(s.application()), {"Enabled": "false", "Token": unique()}
    s.sns.set_endpoint_attributes(EndpointArn=arn, Attributes=attributes)
    same(s.attributes(arn), attributes)


def unknown_attribute_of_an_endpoint_is_refused(s):
    arn = s.endpoint(s.application())
    refused(400, "InvalidParameter", lambda: s.sns.set_endpoint_attributes(EndpointArn=arn, Attributes={"Colour": "red"}))


def user_data_of_an_endpoint_is_bounded(s):
    application = s.application()
    refused(400, "InvalidParameter", lambda: s.endpoint(application, CustomUserData="x" * 2049))


def token_of_another_endpoint_cannot_be_set(s):
    application, token = s.application(), unique()
    one, two = s.endpoint(application, token), s.endpoint(application)
    call = lambda: s.sns.set_endpoint_attributes(EndpointArn=two, Attributes={"Token": token})
    refused(400, "InvalidParameter", call, says=exists_with_other_attributes(one))


def attributes_of_a_missing_endpoint_are_not_found(s):
    arn = missing_endpoint(s.application())
    refused(404, "NotFound", lambda: s.attributes(arn), says="Endpoint does not exist")
    refused(404, "NotFound", lambda: s.sns.set_endpoint_attributes(EndpointArn=arn, Attributes={"Enabled": "true"}))


def endpoint_can_be_deleted_twice(s):
    arn = s.endpoint(s.application())
    s.sns.delete_endpoint(EndpointArn=arn)
    s.sns.delete_endpoint(EndpointArn=arn)
    refused(404, "NotFound", lambda: s.attributes(arn))


# Pushes


def push_is_accepted(s):
    arn = s.endpoint(s.application())
    same(bool(s.sns.publish(TargetArn=arn, Message="m")["MessageId"]), True)


def push_to_a_disabled_endpoint_is_refused(s):
    arn = s.endpoint(s.application(), Attributes={"Enabled": "false"})
    refused(400, "EndpointDisabled", lambda: s.sns.publish(TargetArn=arn, Message="m"), says="Endpoint is disabled")


def push_to_a_disabled_endpoint_is_refused_before_its_message_is_read(s):
    arn = s.endpoint(s.application(), Attributes={"Enabled": "false"})
    refused(400, "EndpointDisabled", lambda: s.sns.publish(TargetArn=arn, Message="m", MessageStructure="json"))


def push_to_a_missing_endpoint_is_an_invalid_parameter(s):
    arn = missing_endpoint(s.application())
    says = "Invalid parameter: TargetArn Reason: No endpoint found for the target arn specified"
    refused(400, "InvalidParameter", lambda: s.sns.publish(TargetArn=arn, Message="m"), says=says)


def push_with_a_payload_for_its_platform_is_accepted(s):
    arn = s.endpoint(s.application())
    message = '{"GCM": "{\\"data\\": {\\"event\\": \\"wake\\"}}"}'
    s.sns.publish(TargetArn=arn, Message=message, MessageStructure="json")


def push_with_a_malformed_payload_is_refused(s):
    arn = s.endpoint(s.application())
    refused(400, "InvalidParameter", lambda: s.sns.publish(TargetArn=arn, Message='{"GCM": "no json"}', MessageStructure="json"))


def push_without_an_entry_for_its_platform_is_refused(s):
    arn = s.endpoint(s.application())
    refused(400, "InvalidParameter", lambda: s.sns.publish(TargetArn=arn, Message='{"APNS": "{}"}', MessageStructure="json"))


# Text messages


def text_message_is_accepted(s):
    same(bool(s.sns.publish(PhoneNumber="+4917012345678", Message="m")["MessageId"]), True)


def text_message_that_is_too_long_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.sns.publish(PhoneNumber="+4917012345678", Message="x" * 1601))


def phone_number_of_letters_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.sns.publish(PhoneNumber="+49CALLME", Message="m"))


def phone_number_without_plus_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.sns.publish(PhoneNumber="4917012345678", Message="m"))


def phone_number_that_is_too_long_is_named(s):
    number = "+" + "1" * 16
    says = f"Invalid parameter: PhoneNumber Reason: {number} is not valid to publish to"
    refused(400, "InvalidParameter", lambda: s.sns.publish(PhoneNumber=number, Message="m"), says=says)


# Publishing to topics


def publish_is_accepted(s):
    attributes = {
        "text": {"DataType": "String", "StringValue": "a <b>"},
        "number": {"DataType": "Number", "StringValue": "-1.5"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    same(bool(s.publish(Subject="x" * 100, MessageAttributes=attributes)), True)


def publish_to_a_topic_as_target_is_accepted(s):
    same(bool(s.sns.publish(TargetArn=s.topic, Message="m")["MessageId"]), True)


def publish_to_a_missing_topic_is_not_found(s):
    refused(404, "NotFound", lambda: s.publish(TopicArn=s.topic + "2"))


def publish_to_nowhere_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.sns.publish(Message="m"))


def publish_to_two_places_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.publish(PhoneNumber="+4917012345678"))


def publish_to_no_arn_is_refused(s):
    says = "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1"
    refused(400, "InvalidParameter", lambda: s.publish(TopicArn="topic"), says=says)


def empty_message_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.publish(Message=""), says="Invalid parameter: Empty message")


def empty_subject_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.publish(Subject=""), says="Invalid parameter: Subject")


def subject_with_a_line_break_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.publish(Subject="a\nb"))


def subject_that_is_too_long_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.publish(Subject="x" * 101))


def message_of_256_kb_is_accepted(s):
    same(bool(s.publish(Message="x" * LIMIT)), True)


def message_that_is_too_long_is_refused(s):
    refused(400, "InvalidParameter", lambda: s.publish(Message="x" * (LIMIT + 1)))


def message_of_too_many_bytes_is_refused(s):
    says = "Invalid parameter: Message too long"
    refused(400, "InvalidParameter", lambda: s.publish(Message="é" * (LIMIT // 2) + "x"), says=says)


def attributes_count_towards_the_limit(s):
    # Name, type and value weigh 1, 6 and 4 bytes.
    attributes = {"n": {"DataType": "String", "StringValue": "four"}}
    same(bool(s.publish(Message="x" * (LIMIT - 11), MessageAttributes=attributes)), True)
    refused(400, "InvalidParameter", lambda: s.publish(Message="x" * (LIMIT - 10), MessageAttributes=attributes))


def structured_message_is_accepted(s):
    same(bool(s.publish(Message='{"default": "m", "sqs": 1}', MessageStructure="json")), True)


def structured_message_needs_a_default(s):
    says = "Invalid parameter: Message Structure - No default entry in JSON message body"
    for message in ('{"sqs": "m"}', '{"default": 1}'):
        refused(400, "InvalidParameter", lambda: s.publish(Message=message, MessageStructure="json"), says=says)


def structured_message_must_be_json(s):
    says = "Invalid parameter: Message Structure - JSON message body failed to parse"
    refused(400, "InvalidParameter", lambda: s.publish(Message="m", MessageStructure="json"), says=says)


def attribute_of_a_bad_type_is_refused(s):
    attributes = {"a": {"DataType": "Text", "StringValue": "v"}}
    refused(400, "ParameterValueInvalid", lambda: s.publish(MessageAttributes=attributes))


def attribute_that_is_no_number_is_refused(s):
    attributes = {"a": {"DataType": "Number", "StringValue": "v"}}
    refused(400, "ParameterValueInvalid", lambda: s.publish(MessageAttributes=attributes))


def attribute_with_a_bad_name_is_refused(s):
    for name in ("a b", ".a", "a..b"):
        attributes = {name: {"DataType": "String", "StringValue": "v"}}
        refused(400, "ParameterValueInvalid", lambda: s.publish(MessageAttributes=attributes))


# Batches


def entries(count, message="m"):
    return [{"Id": f"id-{number}", "Message": message} for number in range(count)]


def batch_of_ten_is_accepted(s):
    reply = s.batch(*entries(10))
    same([entry["Id"] for entry in reply["Successful"]], [f"id-{number}" for number in range(10)])
    same(reply.get("Failed", []), [])
    same(len({entry["MessageId"] for entry in reply["Successful"]}), 10)


def batch_of_eleven_is_refused(s):
    refused(400, "TooManyEntriesInBatchRequest", lambda: s.batch(*entries(11)))


def empty_batch_is_refused(s):
    refused(400, "EmptyBatchRequest", lambda: s.batch())


def batch_with_one_id_twice_is_refused(s):
    refused(400, "BatchEntryIdsNotDistinct", lambda: s.batch(*entries(1), *entries(1)))


def batch_with_a_bad_id_is_refused(s):
    for bad in ("a b", "x" * 81):
        refused(400, "InvalidBatchEntryId", lambda: s.batch({"Id": bad, "Message": "m"}))


def batch_to_a_missing_topic_is_not_found(s):
    refused(404, "NotFound", lambda: s.sns.publish_batch(TopicArn=s.topic + "2", PublishBatchRequestEntries=entries(1)))


def batch_that_is_too_long_together_is_refused(s):
    same(len(s.batch(*entries(2, "x" * (LIMIT // 2)))["Successful"]), 2)
    refused(400, "BatchRequestTooLong", lambda: s.batch(*entries(2, "x" * (LIMIT // 2 + 1))))


def batch_answers_for_each_entry(s):
    reply = s.batch({"Id": "bad", "Message": ""}, {"Id": "good", "Message": "m"})
    same([entry["Id"] for entry in reply["Successful"]], ["good"])
    same([(entry["Id"], entry["Code"], entry["SenderFault"]) for entry in reply["Failed"]], [("bad", "InvalidParameter", True)])


# E-mail


def email_is_sent(s):
    same(bool(s.email()), True)


def email_by_a_sender_with_a_name_is_sent(s):
    same(bool(s.email(FromEmailAddress=f"Handset <{SENDER}>")), True)


def email_with_an_inline_picture_is_sent(s):
    picture = {
        "FileName": "qr.png",
        "RawContent": base64.b64decode("iVBORw0KGgo="),
        "ContentType": "image/png",
        "ContentId": "qr",
        "ContentDisposition": "INLINE",
        "ContentTransferEncoding": "BASE64",
    }
    body = {"Text": {"Data": "Text"}, "Html": {"Data": '<img src="cid:qr">', "Charset": "UTF-8"}}
    same(bool(s.email(Content=simple(Body=body, Attachments=[picture]))), True)


def inline_picture_without_a_name_is_refused(s):
    picture = {"RawContent": b"x", "ContentId": "qr", "ContentDisposition": "INLINE"}
    refused(400, "BadRequestException", lambda: s.email(Content=simple(Attachments=[picture])))


def raw_email_is_sent(s):
    raw = f"From: {SENDER}\r\nTo: ada@example.com\r\nSubject: s\r\n\r\nText".encode()
    same(bool(s.ses.send_email(Content={"Raw": {"Data": raw}})["MessageId"]), True)


def raw_email_by_a_stranger_is_refused(s):
    raw = b"From: stranger@elsewhere.example\r\nTo: ada@example.com\r\nSubject: s\r\n\r\nText"
    refused(400, "MessageRejected", lambda: s.ses.send_email(Content={"Raw": {"Data": raw}}))


def stranger_is_refused(s):
    refused(400, "MessageRejected", lambda: s.email(FromEmailAddress="stranger@elsewhere.example"))


def stranger_is_refused_in_ses_words(s):
    stranger = "stranger@elsewhere.example"
    says = f"Email address is not verified. The following identities failed the check in region {REGION.upper()}: {stranger}"
    refused(400, "MessageRejected", lambda: s.email(FromEmailAddress=stranger), says=says)


def unverified_identity_may_not_send(s):
    address = f"{unique()}@example.org"
    s.ses.create_email_identity(EmailIdentity=address)
    refused(400, "MessageRejected", lambda: s.email(FromEmailAddress=address))


def unknown_configuration_set_is_refused(s):
    refused(404, "NotFoundException", lambda: s.email(ConfigurationSetName=unique()))


def known_configuration_set_and_tags_are_accepted(s):
    name = unique()
    s.ses.create_configuration_set(ConfigurationSetName=name)
    tags = [{"Name": "invitation_id", "Value": "inv-1"}, {"Name": "n", "Value": "x" * 256}]
    same(bool(s.email(ConfigurationSetName=name, EmailTags=tags)), True)


def bad_tags_are_refused(s):
    for name, value in (("a b", "v"), ("n", "a:b"), ("n", "ä"), ("n", "x" * 257), ("", "v"), ("n", "")):
        refused(400, "BadRequestException", lambda: s.email(EmailTags=[{"Name": name, "Value": value}]))


def email_to_nobody_is_refused(s):
    refused(400, "BadRequestException", lambda: s.email(Destination={}))


def email_to_fifty_is_sent(s):
    addresses = [f"ada{number}@example.com" for number in range(50)]
    same(bool(s.email(Destination={"ToAddresses": addresses[:20], "BccAddresses": addresses[20:]})), True)


def email_to_too_many_is_refused(s):
    addresses = [f"ada{number}@example.com" for number in range(51)]
    refused(400, "BadRequestException", lambda: s.email(Destination={"ToAddresses": addresses}))


def email_to_no_address_is_refused(s):
    refused(400, "BadRequestException", lambda: s.email(Destination={"ToAddresses": ["ada"]}))


def email_without_content_is_refused(s):
    refused(400, "BadRequestException", lambda: s.email(Content={}))


def email_without_a_body_is_refused(s):
    refused(400, "BadRequestException", lambda: s.email(Content=simple(Body={})))


# Identities and configuration sets


def new_identity_is_not_verified(s):
    for name, kind in ((f"{unique()}@example.org", "EMAIL_ADDRESS"), (f"{unique()}.example", "DOMAIN")):
        reply = s.ses.create_email_identity(EmailIdentity=name)
        same((reply["IdentityType"], reply["VerifiedForSendingStatus"]), (kind, False))
        same(s.ses.get_email_identity(EmailIdentity=name)["VerifiedForSendingStatus"], False)


def new_identity_is_pending(s):
    name = f"{unique()}@example.org"
    s.ses.create_email_identity(EmailIdentity=name)
    same(s.ses.get_email_identity(EmailIdentity=name)["VerificationStatus"], "PENDING")


def identity_that_exists_is_refused(s):
    name = f"{unique()}@example.org"
    s.ses.create_email_identity(EmailIdentity=name)
    refused(400, "AlreadyExistsException", lambda: s.ses.create_email_identity(EmailIdentity=name))


def unknown_identity_is_not_found(s):
    refused(404, "NotFoundException", lambda: s.ses.get_email_identity(EmailIdentity="nobody@example.org"))


def configuration_set_that_exists_is_refused(s):
    name = unique()
    s.ses.create_configuration_set(ConfigurationSetName=name)
    refused(400, "AlreadyExistsException", lambda: s.ses.create_configuration_set(ConfigurationSetName=name))


def configuration_set_with_a_bad_name_is_refused(s):
    refused(400, "BadRequestException", lambda: s.ses.create_configuration_set(ConfigurationSetName=f"{unique()} b"))


CASES = [
    value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__code__", None) and value.__code__.co_varnames[:1] == ("s",) and value.__module__ == __name__
]


def outcome(case, subject):
    """Returns None if the case passed, otherwise the error."""
    try:
        case(subject)
    except (Mismatch, ClientError, BotoCoreError, ResponseParserError, KeyError) as error:
        return f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
    return None


def check(name, subject, known):
    """Runs every case against one endpoint; returns the number of unexpected outcomes."""
    unexpected = 0
    for case in CASES:
        wrong = outcome(case, subject)
        difference = known.get(case.__name__)
        if wrong is None and difference is None:
            line = "ok"
        elif wrong and difference and difference[0] in wrong:
            line = f"differs as expected: {difference[1]}"
        elif wrong:
            line, unexpected = f"FAILED: {wrong}", unexpected + 1
        else:
            line, unexpected = "FAILED: no longer differs; remove it from MOTO_DIFFERS", unexpected + 1
        print(f"{name:5} {case.__name__}: {line}", flush=True)
    return unexpected


@contextlib.contextmanager
def moto_server():
    """Runs moto_server on a free port, and yields its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/moto-api/", child)
        yield url
    finally:
        child.terminate()
        child.wait(timeout=10)


def wait_for(url, child, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end and child.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("moto_server did not start")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ours", help="URL of the local stack's endpoint")
    parser.add_argument("theirs", nargs="?", help="URL of a moto_server")
    parser.add_argument("--moto", action="store_true", help="start moto_server for this run")
    arguments = parser.parse_args()

    unknown = set(MOTO_DIFFERS) - {case.__name__ for case in CASES}
    if unknown:
        raise SystemExit(f"unknown cases in MOTO_DIFFERS: {', '.join(sorted(unknown))}")
    unexpected = check("ours", Subject(arguments.ours), {})
    with contextlib.ExitStack() as stack:
        theirs = stack.enter_context(moto_server()) if arguments.moto else arguments.theirs
        if theirs:
            unexpected += check("moto", Subject(theirs), MOTO_DIFFERS)
    print(f"{len(CASES)} cases, {len(MOTO_DIFFERS)} known differences of moto, {unexpected} unexpected outcomes")
    sys.exit(1 if unexpected else 0)


if __name__ == "__main__":
    main()
