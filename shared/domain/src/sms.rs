//! The length of a text message in segments, the unit that networks charge for.

/// GSM's 7-bit default alphabet, without the escape (3GPP TS 23.038, 6.2.1).
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                     ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// Characters that need an escape and so two septets (3GPP TS 23.038, 6.2.1.1).
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// Capacity of a single segment, and of each of several: those begin with a header for reassembly (3GPP TS
/// 23.040, 9.2.3.24).
struct Room {
    alone: usize,
    of_several: usize,
}

const SEPTETS: Room = Room { alone: 160, of_several: 153 };

const UCS2_UNITS: Room = Room { alone: 70, of_several: 67 };

/// The number of segments of a text: in septets if GSM's alphabet has all of its characters, else in UCS-2
/// units. A character of two septets or units is never split.
#[must_use]
pub fn segments(text: &str) -> usize {
    let septets: Option<Vec<usize>> = text.chars().map(septets).collect();
    match septets {
        Some(sizes) => pack_into_segments(&sizes, &SEPTETS),
        None => pack_into_segments(&text.chars().map(char::len_utf16).collect::<Vec<_>>(), &UCS2_UNITS),
    }
}

/// The septets of a character; `None` if GSM's alphabet lacks it.
fn septets(character: char) -> Option<usize> {
    if BASIC.contains(character) { Some(1) } else { EXTENSION.contains(character).then_some(2) }
}

fn pack_into_segments(sizes: &[usize], room: &Room) -> usize {
    if sizes.iter().sum::<usize>() <= room.alone {
        return 1;
    }
    let (mut segments, mut used) = (1, 0);
    for size in sizes {
        if used + size > room.of_several {
            segments += 1;
            used = 0;
        }
        used += size;
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabets_have_as_many_characters_as_their_tables() {
        // 128 positions, one of which is the escape.
        assert_eq!(BASIC.chars().count(), 127);
        assert_eq!(EXTENSION.chars().count(), 10);
        let all: std::collections::BTreeSet<char> = BASIC.chars().chain(EXTENSION.chars()).collect();
        assert_eq!(all.len(), 137, "each stands once");
    }

    #[test]
    fn a_text_takes_as_many_segments_as_the_networks_make_of_it() {
        let cases = [
            ("", 1),
            (&"a".repeat(160), 1),
            (&"a".repeat(161), 2),
            (&"a".repeat(306), 2),
            (&"a".repeat(307), 3),
            (&"€".repeat(80), 1),
            (&format!("{}a", "€".repeat(80)), 2),
            // An escape and its character stay together: 76 of them fill 152 of 153 septets.
            (&"€".repeat(152), 2),
            (&"€".repeat(153), 3),
            (&"ñ".repeat(160), 1),
            // Looks like a character of the alphabet, but is not.
            (&"ç".repeat(70), 1),
            (&"ç".repeat(71), 2),
            (&"ç".repeat(134), 2),
            (&"ç".repeat(135), 3),
            (&"😀".repeat(35), 1),
            (&"😀".repeat(36), 2),
            // Two units are never split: 33 characters fill 66 of 67.
            (&"😀".repeat(66), 2),
            (&"😀".repeat(67), 3),
            (&format!("{}`", "a".repeat(69)), 1),
            (&format!("{}`", "a".repeat(70)), 2),
        ];
        for (text, expected) in cases {
            assert_eq!(segments(text), expected, "{} of {:?}", text.chars().count(), text.chars().last());
        }
    }
}
