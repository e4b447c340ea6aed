//! What the fields and parameters of requests mean. One that means something else in an operation says so in that
//! operation's [`OperationDoc::field`](super::OperationDoc::field).

use serde_json::{Value, json};

/// Gives every property of a schema its meaning: the operation's `own`, or else the common one.
pub(super) fn explain(own: &[(&str, &str)], schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                for (name, property) in properties {
                    if let (Some(meaning), Some(property)) = (meaning(own, name), property.as_object_mut()) {
                        property.entry("description").or_insert(json!(meaning));
                    }
                }
            }
            fields.values_mut().for_each(|value| explain(own, value));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| explain(own, item)),
        _ => {}
    }
}

fn meaning<'a>(own: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    own.iter().chain(COMMON).find(|(field, _)| *field == name).map(|(_, meaning)| *meaning)
}

/// Fields by name.
pub(super) const COMMON: &[(&str, &str)] = &[
    ("acs_credential_id", "Identifier of the credential in the access system."),
    ("action", "What is to be done."),
    ("after_days", "Days without a check-in after which the rule applies."),
    ("android", "Oldest version of Android that causes no warning."),
    ("app", "Oldest version of the app that causes no warning."),
    ("app_version", "Version of the app."),
    ("attachment_bytes", "Bytes of attachments."),
    ("blocked", "Only devices that are blocked, or only those that are not."),
    ("calls", "Calls."),
    ("channel", "How the message is sent."),
    ("check_in_minutes", "Minutes between two check-ins of a phone."),
    ("client_password", "Password of the client."),
    ("code", "Code of an invitation or a deployment."),
    ("columns", "Columns of the file, separated by commas; all by default."),
    ("command_id", "Identifier of the command."),
    ("config_version", "Version of the configuration that the app has installed."),
    ("cursor", "Start of the page: the `next_cursor` of the page before."),
    (
        "custom_metadata",
        "The caller's own keys and values: at most 50 keys, each with a text of at most 500 characters or a boolean; \
         `null` removes a key.",
    ),
    ("default", "Whether it applies to users who have no profile of their own."),
    ("delimiter", "Character between the cells of a line."),
    ("deployed", "Only users who have been deployed to, or only those who have not."),
    ("deployment_id", "Identifier of the deployment."),
    ("description", "What it is for, for people."),
    ("detail", "What happened, for people."),
    ("device_id", "Identifier of the device."),
    ("device_identifier", "Identifier that the app gave its installation; it survives restarts."),
    ("device_status", "Only devices with this status."),
    ("devices", "Number of devices that the code registers; 1 by default."),
    ("dry_run", "Whether nothing is changed, and the answer says what would be."),
    ("email", "E-mail address."),
    ("emails_per_day", "Most e-mails a day (UTC), at most what the operator allows."),
    ("enabled", "Whether events are sent."),
    ("endpoint_id", "Identifier of the endpoint in the service."),
    ("endpoints", "All endpoints that the service knows on this device."),
    ("event_id", "Identifier of the event."),
    ("event_type", "Only events of this type."),
    ("event_types", "Types of the events that are sent; `*` for all."),
    ("every_hours", "Hours between two scheduled syncs; `null` for none."),
    ("expires_in_days", "Days for which the command is valid."),
    ("external_id", "Identifier of the user in the source or the identity provider."),
    ("filter", "Filters of the list that the things are found by; `{}` for all."),
    ("first_name", "First name."),
    ("force_pending", "Only users with a device that is to download its configuration, or only those without."),
    ("format", "Format of the page."),
    ("ids", "Identifiers, at most 100; in a query separated by commas."),
    ("invitation_days", "Days for which an invitation is valid."),
    ("invitation_id", "Identifier of the invitation."),
    ("ios", "Oldest version of iOS that causes no warning."),
    ("is_active", "Whether the endpoint is active."),
    ("issuer", "OpenID Connect issuer, exactly as tokens name it."),
    ("items", "Where in a JSON page the rows are (a JSON Pointer); empty for the page itself."),
    ("job_id", "Identifier of the job."),
    ("key_field", "What a row finds its user by."),
    ("key_id", "Identifier of the key."),
    ("kind", "How the rows arrive."),
    ("last", "Whether this is the last part of the file."),
    ("last_archived_at", "Time at which the carrier last archived something of the network."),
    ("last_login_before", "Only devices whose last check-in was before this time."),
    ("last_name", "Last name."),
    ("last_seen_at", "Time at which the carrier last saw the subscriber in the network."),
    ("last_seen_before", "Only users whose devices were last seen before this time."),
    ("limit", "Most items per page."),
    ("mapping", "Columns of the source, by the names of our fields."),
    ("mdn_provisioning", "Whether the mobile directory number is provisioned."),
    ("member_id", "Identifier of the member."),
    ("messages_archived", "Messages archived."),
    ("messages_received", "Messages received."),
    ("messages_sent", "Messages sent."),
    ("minimum_versions", "Oldest versions that cause no warning."),
    ("mobile", "Mobile number with its country code (E.164)."),
    ("model_name", "Model of the phone."),
    ("name", "Name, for people."),
    ("network_indicator", "Only users whose most urgent network indicator is this."),
    ("nickname", "Name of the device."),
    ("number", "Extension or number in the telephone system."),
    ("os_version", "Version of iOS or Android."),
    ("overrides", "The user's own settings, which take precedence over those of the profile; at most 4 KiB."),
    ("pbx_sip_password", "Password with which the client signs in to the telephone system."),
    ("pending_command", "Only those with a pending command, or only those without."),
    ("pin_failures", "Wrong PINs that were entered in a row."),
    ("pin_limit", "Wrong PINs in a row that lock a user; 0 for never."),
    ("platform", "Platform of the app."),
    ("problem", "Problem that the service reports, if any."),
    ("profile_id", "Identifier of the profile."),
    ("provider", "The carrier: lower-case letters, digits and `_`."),
    ("push_in_use", "Only devices whose push notifications are in use, or only those whose are not."),
    ("push_token", "Token by which Apple or Google wakes the app."),
    ("reason", "Why, for people; the audit shows it."),
    ("release", "Fields that follow the user's source again."),
    ("renames_may_wipe", "Whether a scheduled sync may wipe the phones of users whom it renames."),
    ("result", "What became of the command."),
    ("retention_days", "Days for which deleted devices and users are kept."),
    ("revoke", "Whether the keys that they created are revoked, and their webhooks disabled, as well."),
    ("role", "The person's role in the workspace."),
    ("schema", "JSON Schema that the settings must satisfy."),
    ("search", "Beginnings of words, all of which must be found."),
    ("sender", "Sender address of its e-mails, one that the operator allows."),
    ("sequence", "Goes up with each report. A repeated report adds nothing."),
    ("service", "The credential service."),
    ("service_account", "Service account of the user's phones."),
    ("service_level", "One of the workspace's service levels."),
    ("service_levels", "Service levels that a user may have."),
    ("settings", "The settings, a JSON object of at most 64 KiB."),
    ("silent_devices", "What happens to devices without a check-in for long; `null` for nothing."),
    ("since", "Start of the period; by default 90 days before its end."),
    ("sip_user_name", "Name with which the user's phones sign in to the telephone system."),
    (
        "sms_sender",
        "Sender of its text messages: a name of at most 11 letters and digits, or a number, that the operator allows.",
    ),
    ("source_id", "Identifier of the source."),
    ("start", "Whether the sync starts once every part has arrived; `true` by default."),
    ("status", "Only those with this status."),
    ("status_at", "Date of the status; now by default."),
    ("subject", "The person's identifier at the issuer."),
    ("teleworker_sip_password", "Password with which the client signs in from outside the company."),
    ("texts_per_day", "Most text messages a day (UTC), at most what the operator allows."),
    ("token", "Bearer token with which the page is read; never shown."),
    ("token_id", "Identifier of the personal access token."),
    ("unconfirmed_wipe", "Only those with a wipe that was ordered and not confirmed, or only those without."),
    ("until", "End of the period; now by default."),
    ("upload", "Identifier of the upload, a UUID that the caller chooses for the whole file."),
    ("url", "HTTPS URL with a public host."),
    ("usage", "Usage since the last report."),
    ("user_id", "Identifier of the user."),
    ("user_identity_key", "Key by which another system knows the user, unique in the workspace."),
    ("user_ids", "Identifiers of the users; all by default."),
    (
        "username",
        "Name by which the user is known, unique in the workspace. Case and width make no difference, accents do \
         (RFC 8265).",
    ),
    ("vanish_limit_percent", "A sync that would remove more than this share of the source's users is stopped."),
    ("vanish_policy", "What happens to users who are no longer in the source."),
    ("voicemail_pin", "PIN of the user's voicemail, in digits."),
    ("webhook_id", "Identifier of the webhook."),
    ("without_wipe", "Whether to delete although a device was never wiped; needs a reason."),
    ("workspace_id", "Identifier of the workspace."),
    ("workspace_ids", "Workspaces that the token opens: at most 20, of each of which the person is a member."),
];
