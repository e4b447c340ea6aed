//! Opaque cursors for paginated lists.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::error::DomainError;

const TAG: usize = 16;

/// Encodes a position in a list, bound to the scope (workspace, list and query) in which it was issued.
///
/// The tag is a plain hash, not a signature: a cursor grants nothing, since the position that it names is
/// looked up inside the caller's own workspace. The tag only makes an altered cursor, or one of another list,
/// an error instead of a wrong page.
#[must_use]
pub fn encode(scope: &str, position: &[u8]) -> String {
    let mut bytes = tag(scope, position).to_vec();
    bytes.extend(position);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes the position in a cursor.
///
/// # Errors
/// `CursorInvalid` if it was not issued in this scope.
pub fn decode(scope: &str, cursor: &str) -> Result<Vec<u8>, DomainError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| DomainError::CursorInvalid)?;
    match bytes.split_at_checked(TAG) {
        Some((sent, position)) if sent == tag(scope, position) => Ok(position.to_vec()),
        _ => Err(DomainError::CursorInvalid),
    }
}

fn tag(scope: &str, position: &[u8]) -> [u8; TAG] {
    let mut hash = Sha256::new();
    hash.update((scope.len() as u64).to_be_bytes());
    hash.update(scope);
    hash.update(position);
    let digest: [u8; 32] = hash.finalize().into();
    let mut tag = [0; TAG];
    tag.copy_from_slice(&digest[..TAG]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_where_it_was_given_out_and_as_it_was() {
        let cursor = encode("workspace/list", b"here");
        assert_eq!(decode("workspace/list", &cursor).unwrap(), b"here");
        assert_eq!(decode("workspace/other", &cursor), Err(DomainError::CursorInvalid));
        for at in 0..cursor.len() {
            let mut altered = cursor.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(decode("workspace/list", &altered).is_err() || altered == cursor);
        }
        assert!(decode("workspace/list", "").is_err());
    }
}
