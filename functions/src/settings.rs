//! Settings from environment variables. `template.yaml` gives each function only the variables that it needs.

use std::fmt;

use aws::TableNames;
use aws_credential_types::Credentials;
use chrono::Duration;
use domain::egress::is_base_url;
use domain::models::event_shards::MOST_SHARDS;
use domain::models::job::RANGES_LIMIT;
use domain::models::message_limits::{MessagePolicy, SendingRates};
use domain::models::workspace::{AllowedSenders, CHECK_IN_MINUTES};
use domain::text::MOBILE;
use lambda::Issuer;
use thiserror::Error;

/// Settings from the environment.
#[derive(Clone)]
pub struct Settings {
    /// The AWS region.
    pub region: String,
    /// The credentials that Lambda provides.
    pub credentials: Credentials,
    /// The tables, for functions that use them.
    pub tables: Option<TableNames>,
    /// ARN of the topic `events`.
    pub events_topic: Option<String>,
    /// ARN of the topic `jobs`.
    pub jobs_topic: Option<String>,
    /// The product's URL, without a trailing slash.
    pub public_url: Option<String>,
    /// The default sender of e-mails.
    pub sender: Option<String>,
    /// The senders that workspaces may use; the e-mail senders include [`Settings::sender`].
    pub senders: AllowedSenders,
    /// The SES configuration set.
    pub configuration_set: Option<String>,
    /// The rates of SES and SNS; none if they have none.
    pub sending_rates: Option<SendingRates>,
    /// The SNS platform applications.
    pub applications: Applications,
    /// The issuer of admins' tokens.
    pub issuer: Option<Issuer>,
    /// The app's identifiers and links.
    pub app: App,
    /// The operator's values for what a workspace has not set, and limits that hold for every workspace.
    pub operator: OperatorSettings,
    /// Hosts from which sources may be fetched, in lower case; empty allows every public host.
    pub source_hosts: Vec<String>,
    /// The most shards of a workspace's events of a day.
    pub event_shards: u8,
}

/// The operator's values for what a workspace has not set, and limits that hold for every workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorSettings {
    /// How long deleted devices and users are kept.
    pub retention: Duration,
    /// How long an invitation is valid.
    pub invitation_lifetime: Duration,
    /// Minutes between two check-ins of a phone.
    pub check_in_minutes: u32,
    /// Ranges of a job, which are worked on side by side.
    pub ranges_per_job: u16,
    /// The default sender of e-mails, for display.
    pub sender: Option<String>,
    /// Daily message limits, and the allowed calling codes.
    pub messages: MessagePolicy,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("region", &self.region).finish_non_exhaustive()
    }
}

/// ARNs of the SNS platform applications; a platform without one gets no pushes.
#[derive(Clone, Debug, Default)]
pub struct Applications {
    /// For iOS.
    pub ios: Option<String>,
    /// For Android.
    pub android: Option<String>,
}

/// How phones find and open the app.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// Apple's app ID: team and bundle.
    pub ios_app_id: Option<String>,
    /// The Android package name.
    pub android_package: Option<String>,
    /// SHA-256 fingerprints of the certificates that sign the Android app.
    pub android_fingerprints: Vec<String>,
    /// URL of the iOS app in its store.
    pub ios_store: Option<String>,
    /// URL of the Android app in its store.
    pub android_store: Option<String>,
    /// The URL scheme that opens the app.
    pub scheme: String,
}

/// An environment variable is missing or invalid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the environment variable {name} {fault}")]
pub struct SettingsError {
    name: &'static str,
    fault: &'static str,
}

impl Settings {
    /// Reads the settings. An empty variable counts as not set.
    ///
    /// # Errors
    /// The first variable that is missing or invalid.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let text = |name: &str| variable(name).filter(|value| !value.is_empty());
        let days = |name: &'static str, default: i64| match text(name).map(|value| value.parse::<i64>()) {
            None => Ok(Duration::days(default)),
            Some(Ok(days)) if (1..=3650).contains(&days) => Ok(Duration::days(days)),
            Some(_) => Err(SettingsError { name, fault: "must be a number of days from 1 to 3650" }),
        };
        let tables = text("TABLE").map(|main| TableNames { main, secrets: text("SECRETS_TABLE").unwrap_or_default() });
        let issuer = text("OIDC_ISSUER").zip(text("OIDC_AUDIENCE")).map(|(url, audience)| Issuer { url, audience });
        let public_url = text("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned());
        if public_url.as_deref().is_some_and(|url| !is_base_url(url)) {
            let fault = "must be https:// and the host alone; http:// only for this machine itself";
            return Err(SettingsError { name: "PUBLIC_URL", fault });
        }
        let list = |name: &str| -> Vec<String> {
            let entries = text(name).unwrap_or_default();
            entries.split(',').map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty()).collect()
        };
        let quota = |name: &'static str| match text(name).map(|value| value.parse::<u32>()) {
            None => Ok(0),
            Some(Ok(quota)) => Ok(quota),
            Some(Err(_)) => Err(SettingsError { name, fault: "must be a whole number" }),
        };
        let rate = |name: &'static str| match text(name).map(|value| value.parse::<u32>()) {
            None => Ok(None),
            Some(Ok(rate)) if rate > 0 => Ok(Some(rate)),
            Some(_) => Err(SettingsError { name, fault: "must be a whole number, at least 1" }),
        };
        let rates = rate("EMAILS_PER_SECOND")?.zip(rate("TEXTS_PER_SECOND")?);
        let check_in_minutes = match text("CHECK_IN_MINUTES").map(|value| value.parse::<u32>()) {
            None => 15,
            Some(Ok(minutes)) if (CHECK_IN_MINUTES.0..=CHECK_IN_MINUTES.1).contains(&minutes) => minutes,
            Some(_) => {
                let fault = "must be a number of minutes from 5 to 1440";
                return Err(SettingsError { name: "CHECK_IN_MINUTES", fault });
            }
        };
        let event_shards = match text("EVENT_SHARDS").map(|value| value.parse::<u8>()) {
            None => 1,
            Some(Ok(shards)) if shards.is_power_of_two() && shards <= MOST_SHARDS => shards,
            Some(_) => {
                return Err(SettingsError { name: "EVENT_SHARDS", fault: "must be 1, 2, 4, 8, 16, 32 or 64" });
            }
        };
        let ranges_per_job = match text("RANGES_PER_JOB").map(|value| value.parse::<u16>()) {
            None => 10,
            Some(Ok(ranges)) if (1..=RANGES_LIMIT).contains(&ranges) => ranges,
            Some(_) => return Err(SettingsError { name: "RANGES_PER_JOB", fault: "must be a number from 1 to 50" }),
        };
        let calling_codes = list("TEXT_CALLING_CODES");
        if !calling_codes.iter().all(|code| is_calling_code(code)) {
            return Err(SettingsError { name: "TEXT_CALLING_CODES", fault: "must be calling codes such as +1,+44" });
        }
        Ok(Self {
            region: text("AWS_REGION").ok_or(SettingsError { name: "AWS_REGION", fault: "is not set" })?,
            credentials: Credentials::new(
                text("AWS_ACCESS_KEY_ID").unwrap_or_default(),
                text("AWS_SECRET_ACCESS_KEY").unwrap_or_default(),
                text("AWS_SESSION_TOKEN"),
                None,
                "lambda",
            ),
            tables,
            events_topic: text("EVENTS_TOPIC_ARN"),
            jobs_topic: text("JOBS_TOPIC_ARN"),
            public_url,
            sender: text("SENDER"),
            senders: AllowedSenders {
                email: text("SENDER").into_iter().chain(list("SENDERS")).collect(),
                // Workspaces store numbers without spaces.
                sms: list("SMS_SENDERS").iter().map(|sender| MOBILE.read(sender).unwrap_or(sender.clone())).collect(),
            },
            configuration_set: text("CONFIGURATION_SET"),
            sending_rates: rates
                .map(|(emails_per_second, texts_per_second)| SendingRates { emails_per_second, texts_per_second }),
            applications: Applications {
                ios: text("IOS_PLATFORM_APPLICATION_ARN"),
                android: text("ANDROID_PLATFORM_APPLICATION_ARN"),
            },
            issuer,
            app: App {
                ios_app_id: text("IOS_APP_ID"),
                android_package: text("ANDROID_PACKAGE"),
                android_fingerprints: list("ANDROID_CERT_FINGERPRINTS"),
                ios_store: text("IOS_STORE_URL"),
                android_store: text("ANDROID_STORE_URL"),
                scheme: text("APP_LINK_SCHEME").unwrap_or_else(|| "handset".to_owned()),
            },
            operator: OperatorSettings {
                retention: days("RETENTION_DAYS", 30)?,
                invitation_lifetime: days("INVITATION_DAYS", 7)?,
                check_in_minutes,
                ranges_per_job,
                sender: text("SENDER"),
                messages: MessagePolicy {
                    emails_per_day: quota("EMAILS_PER_DAY")?,
                    texts_per_day: quota("TEXTS_PER_DAY")?,
                    calling_codes,
                },
            },
            source_hosts: list("SOURCE_HOSTS").iter().map(|host| host.to_ascii_lowercase()).collect(),
            event_shards,
        })
    }
}

/// True for a calling code such as `+44`, optionally with more digits to select part of its numbers.
fn is_calling_code(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_like_none_and_a_wrong_one_is_named() {
        let read = |days: &'static str| {
            Settings::from_variables(move |name| match name {
                "AWS_REGION" => Some("eu-central-1".to_owned()),
                "RETENTION_DAYS" => Some(days.to_owned()),
                "SENDER" => Some(String::new()),
                _ => None,
            })
        };
        let settings = read("14").unwrap();
        assert_eq!((settings.operator.retention, settings.sender), (Duration::days(14), None));
        assert_eq!(read("soon").unwrap_err().name, "RETENTION_DAYS");
        assert_eq!(Settings::from_variables(|_| None).unwrap_err().name, "AWS_REGION");
    }

    #[test]
    fn the_minutes_between_check_ins_are_those_of_the_template_or_the_variable_is_named() {
        let read = |minutes: &'static str| {
            let settings = Settings::from_variables(move |name| match name {
                "AWS_REGION" => Some("eu-central-1".to_owned()),
                "CHECK_IN_MINUTES" => Some(minutes.to_owned()),
                _ => None,
            });
            settings.map(|settings| settings.operator.check_in_minutes).map_err(|error| error.name)
        };
        assert_eq!([read(""), read("5"), read("1440")], [Ok(15), Ok(5), Ok(1440)]);
        for wrong in ["4", "1441", "-15", "often"] {
            assert_eq!(read(wrong), Err("CHECK_IN_MINUTES"), "{wrong}");
        }
    }

    #[test]
    fn the_most_shards_of_a_days_events_are_a_power_of_two_or_the_variable_is_named() {
        let read = |shards: &'static str| {
            let settings = Settings::from_variables(move |name| match name {
                "AWS_REGION" => Some("eu-central-1".to_owned()),
                "EVENT_SHARDS" => Some(shards.to_owned()),
                _ => None,
            });
            settings.map(|settings| settings.event_shards).map_err(|error| error.name)
        };
        assert_eq!([read(""), read("1"), read("64")], [Ok(1), Ok(1), Ok(64)]);
        for wrong in ["0", "3", "128", "256", "-2", "many"] {
            assert_eq!(read(wrong), Err("EVENT_SHARDS"), "{wrong}");
        }
    }

    #[test]
    fn the_deployments_own_address_is_one_of_those_that_workspaces_may_use() {
        let settings = Settings::from_variables(|name| match name {
            "AWS_REGION" => Some("eu-central-1".to_owned()),
            "SENDER" => Some("phones@example.com".to_owned()),
            "SENDERS" => Some(" it@example.com,,help@example.org".to_owned()),
            "SMS_SENDERS" => Some("Acme, +49 170 1234567".to_owned()),
            _ => None,
        });
        let senders = settings.unwrap().senders;
        assert_eq!(senders.email, ["phones@example.com", "it@example.com", "help@example.org"]);
        assert_eq!(senders.sms, ["Acme", "+491701234567"]);
    }

    #[test]
    fn the_products_own_address_is_https() {
        let read = |url: &'static str| {
            let settings = Settings::from_variables(move |name| match name {
                "AWS_REGION" => Some("eu-central-1".to_owned()),
                "PUBLIC_URL" => Some(url.to_owned()),
                _ => None,
            });
            settings.map(|settings| settings.public_url.unwrap()).map_err(|error| error.name)
        };
        assert_eq!(read("https://phones.example.com/"), Ok("https://phones.example.com".to_owned()));
        assert_eq!(read("http://127.0.0.1:4750"), Ok("http://127.0.0.1:4750".to_owned()));
        for bad in ["http://phones.example.com", "https://phones.example.com/app", "phones.example.com"] {
            assert_eq!(read(bad), Err("PUBLIC_URL"), "{bad}");
        }
    }

    #[test]
    fn calling_codes_and_quotas_are_read_or_named() {
        let read = |name: &'static str, value: &'static str| {
            Settings::from_variables(move |variable| match variable {
                "AWS_REGION" => Some("eu-central-1".to_owned()),
                other => (other == name).then(|| value.to_owned()),
            })
        };
        let codes = read("TEXT_CALLING_CODES", "+1, +44").unwrap().operator.messages.calling_codes;
        assert_eq!(codes, ["+1", "+44"]);
        assert!(read("TEXT_CALLING_CODES", "").unwrap().operator.messages.calling_codes.is_empty());
        for wrong in ["1", "+", "+0", "+1;+44", "*"] {
            assert_eq!(read("TEXT_CALLING_CODES", wrong).unwrap_err().name, "TEXT_CALLING_CODES", "{wrong}");
        }
        assert_eq!(read("EMAILS_PER_DAY", "500").unwrap().operator.messages.emails_per_day, 500);
        assert_eq!(read("TEXTS_PER_DAY", "many").unwrap_err().name, "TEXTS_PER_DAY");
        assert_eq!(read("EMAILS_PER_SECOND", "0").unwrap_err().name, "EMAILS_PER_SECOND");
    }
}
