//! Codes, keys and device credentials: their formats, and what is stored of them.
//!
//! All have at least 128 random bits, so their plain SHA-256 is stored: a slow hash protects guessable secrets only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::{DeviceId, WorkspaceId};

/// Fills a buffer with random bytes.
pub type Random = fn(&mut [u8]);

/// The stored form of a secret: its SHA-256, in base64url.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hash(String);

impl Hash {
    /// The hash of a secret.
    #[must_use]
    pub fn of(secret: impl AsRef<[u8]>) -> Self {
        Self(URL_SAFE_NO_PAD.encode(Sha256::digest(secret.as_ref())))
    }

    /// The text that is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// This many random characters of base58 (5.86 bits each), uniformly distributed.
#[must_use]
pub fn base58(random: Random, length: usize) -> String {
    // 232 is the largest multiple of 58 that fits in a byte: larger values would favour the first letters.
    const FAIR: u8 = 232;
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        random(&mut bytes);
        let fair = bytes.iter().filter(|byte| **byte < FAIR);
        let letters = fair.map(|byte| char::from(BASE58[usize::from(byte % 58)]));
        text.extend(letters.take(length - text.len()));
    }
    text
}

/// Characters of a code: 22 of base58 are 128.9 bits.
const CODE_LENGTH: usize = 22;

/// A new code for a link, a QR code or typing: without ambiguous letters, and without meaning.
#[must_use]
pub fn new_code(random: Random) -> String {
    base58(random, CODE_LENGTH)
}

/// True if a text has the format of a code.
#[must_use]
pub fn is_code(text: &str) -> bool {
    text.len() == CODE_LENGTH && text.bytes().all(|byte| BASE58.contains(&byte))
}

/// An API key as its holder sends it: `seam_<8 base58>_<24 base58>`. The short part identifies the key's row,
/// the long part (140 bits) is the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeySecret {
    /// Identifies the key; not secret.
    pub short: String,
    /// The secret.
    long: String,
}

/// Characters of the public part of a key or a token.
const SHORT_LENGTH: usize = 8;

/// Characters of the secret part.
const LONG_LENGTH: usize = 24;

/// Splits the two parts of a key or a token.
fn parts(text: &str) -> Option<(String, String)> {
    let (short, long) = text.split_once('_')?;
    let base58 = |part: &str, length| part.len() == length && part.bytes().all(|b| BASE58.contains(&b));
    (base58(short, SHORT_LENGTH) && base58(long, LONG_LENGTH)).then(|| (short.to_owned(), long.to_owned()))
}

/// Beginnings after `seam_` that published clients do not accept as a key.
const FOREIGN_PREFIXES: [&str; 3] = ["at", "cst", "pk"];

impl ApiKeySecret {
    /// A new key; in a sandbox workspace its short part begins with `test`.
    #[must_use]
    pub fn new(random: Random, sandbox: bool) -> Self {
        let short = loop {
            let short = if sandbox { format!("test{}", base58(random, 4)) } else { base58(random, SHORT_LENGTH) };
            if !FOREIGN_PREFIXES.iter().any(|prefix| short.starts_with(prefix)) {
                break short;
            }
        };
        Self { short, long: base58(random, LONG_LENGTH) }
    }

    /// Parses a key; `None` if the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (short, long) = parts(text.strip_prefix("seam_")?)?;
        Some(Self { short, long })
    }

    /// The full text of the key, shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("seam_{}_{}", self.short, self.long)
    }

    /// The hash that is stored.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(self.reveal())
    }
}

/// A personal access token as its holder sends it: `seam_at1_<8 base58>_<24 base58>`. Published clients
/// recognise it by this prefix, which no key has. The short part identifies the token's row, the long part (140
/// bits) is the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// Identifies the token; not secret.
    pub short: String,
    /// The secret.
    long: String,
}

impl AccessToken {
    const PREFIX: &'static str = "seam_at1_";

    /// A new token.
    #[must_use]
    pub fn new(random: Random) -> Self {
        Self { short: base58(random, SHORT_LENGTH), long: base58(random, LONG_LENGTH) }
    }

    /// Parses a token; `None` if the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (short, long) = parts(text.strip_prefix(Self::PREFIX)?)?;
        Some(Self { short, long })
    }

    /// The full text of the token, shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{}{}_{}", Self::PREFIX, self.short, self.long)
    }

    /// The hash that is stored.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(self.reveal())
    }
}

/// A device's credential: `hsd_<device>_<secret>`. It contains the key of its device's row, so that no look-up
/// is needed, and the epoch in which it was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCredential {
    /// The device's workspace.
    pub workspace_id: WorkspaceId,
    /// The device.
    pub device_id: DeviceId,
    /// The enrolment of the device for which it was issued.
    pub epoch: u32,
    secret: [u8; 32],
}

const NAME_BYTES: usize = 16 + 16 + 4;

const NAME_LENGTH: usize = NAME_BYTES.div_ceil(3) * 4;

impl DeviceCredential {
    /// A new credential of 256 random bits.
    #[must_use]
    pub fn new(random: Random, workspace_id: WorkspaceId, device_id: DeviceId, epoch: u32) -> Self {
        let mut secret = [0; 32];
        random(&mut secret);
        Self { workspace_id, device_id, epoch, secret }
    }

    /// Parses a credential; `None` if the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, secret) = text.strip_prefix("hsd_")?.split_at_checked(NAME_LENGTH)?;
        let name: [u8; NAME_BYTES] = URL_SAFE_NO_PAD.decode(name).ok()?.try_into().ok()?;
        let secret = URL_SAFE_NO_PAD.decode(secret.strip_prefix('_')?).ok()?.try_into().ok()?;
        let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
        Some(Self {
            workspace_id: WorkspaceId(uuid(&name[..16])?),
            device_id: DeviceId(uuid(&name[16..32])?),
            epoch: u32::from_be_bytes(name[32..].try_into().ok()?),
            secret,
        })
    }

    /// The full text of the credential, shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut name = Vec::with_capacity(NAME_BYTES);
        name.extend(self.workspace_id.0.as_bytes());
        name.extend(self.device_id.0.as_bytes());
        name.extend(self.epoch.to_be_bytes());
        format!("hsd_{}_{}", URL_SAFE_NO_PAD.encode(name), URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// The hash that is stored.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(self.secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(bytes: &mut [u8]) {
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::try_from(at * 7 % 256).unwrap();
        }
    }

    #[test]
    fn a_key_is_read_as_it_is_shown() {
        let key = ApiKeySecret::new(counting, true);
        assert!(key.short.starts_with("test"));
        assert_eq!(ApiKeySecret::parse(&key.reveal()), Some(key.clone()));
        for bad in ["", "seam_", "seam_abc_def", &key.reveal()[1..], &format!("{}x", key.reveal())] {
            assert_eq!(ApiKeySecret::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_personal_access_token_is_read_as_it_is_shown_and_is_no_key() {
        let token = AccessToken::new(counting);
        let text = token.reveal();
        assert!(text.starts_with("seam_at1_"));
        assert_eq!((AccessToken::parse(&text), ApiKeySecret::parse(&text)), (Some(token), None));
        for bad in ["", "seam_at1_", &text[1..], &format!("{text}x"), &text.replace("at1", "at2")] {
            assert_eq!(AccessToken::parse(bad), None, "{bad}");
        }
        let key = ApiKeySecret::new(counting, true).reveal();
        assert_eq!(AccessToken::parse(&key), None);
    }

    #[test]
    fn no_key_begins_as_what_published_clients_take_for_something_else() {
        use std::sync::atomic::{AtomicU8, Ordering};
        static DRAWN: AtomicU8 = AtomicU8::new(0);
        // Gives `at` first, the letters of the bytes 33 and 51.
        fn at_first(bytes: &mut [u8]) {
            counting(bytes);
            if DRAWN.fetch_add(1, Ordering::Relaxed) == 0 {
                bytes[..2].copy_from_slice(&[33, 51]);
            }
        }
        let key = ApiKeySecret::new(at_first, false).reveal();
        assert_eq!(DRAWN.load(Ordering::Relaxed), 3, "the short part is drawn once more");
        assert!(FOREIGN_PREFIXES.iter().all(|prefix| !key.starts_with(&format!("seam_{prefix}"))), "{key}");
    }

    #[test]
    fn a_credential_is_read_as_it_is_shown() {
        let workspace = WorkspaceId(Uuid::from_u128(1));
        let credential = DeviceCredential::new(counting, workspace, DeviceId(Uuid::from_u128(2)), 3);
        let text = credential.reveal();
        assert_eq!(DeviceCredential::parse(&text), Some(credential));
        for bad in ["hsd_", &text[..text.len() - 1], &text.replace("hsd_", "hsx_"), "hsd_é", &format!("{text}A")] {
            assert_eq!(DeviceCredential::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_code_has_128_bits_and_no_doubtful_letter() {
        let code = new_code(counting);
        assert!(is_code(&code));
        assert!(!is_code(&code[1..]) && !is_code(&code.replace(&code[..1], "0")));
    }

    #[test]
    fn each_letter_is_as_likely_as_any_other_and_there_are_as_many_as_were_asked_for() {
        use std::sync::atomic::{AtomicU8, Ordering};
        // Values above the largest multiple of 58 are skipped, and more bytes are drawn.
        static DRAWN: AtomicU8 = AtomicU8::new(0);
        fn mostly_unfair(bytes: &mut [u8]) {
            bytes.fill(232);
            bytes[0] = 231;
            bytes[1] = DRAWN.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(base58(mostly_unfair, 5), "z1z2z");
        assert_eq!(base58(|bytes| bytes.fill(57), 65), "z".repeat(65));
        assert_eq!(base58(|_| (), 0), "");
    }
}
