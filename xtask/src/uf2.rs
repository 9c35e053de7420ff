//! UF2: what a Raspberry Pi Pico in its boot mode takes as a file copied to the drive that it shows.
//!
//! The format: <https://github.com/microsoft/uf2>.

use std::collections::BTreeMap;

/// Bytes of the image in a block.
const PAYLOAD: usize = 256;
/// Bytes of a block.
const BLOCK: usize = 512;
const MAGIC: [u32; 2] = [0x0A32_4655, 0x9E5D_5157];
const MAGIC_AT_THE_END: u32 = 0x0AB1_6F30;
/// The word behind the block count is the family of chips.
const HAS_FAMILY: u32 = 0x2000;

/// The file of an image, given as pieces with their addresses; what lies between pieces of one
/// 256-byte page is zero.
pub(crate) fn uf2(family: u32, pieces: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut pages: BTreeMap<u32, [u8; PAYLOAD]> = BTreeMap::new();
    for (start, bytes) in pieces {
        for (address, byte) in (*start..).zip(bytes) {
            let offset = address % PAYLOAD as u32;
            let page = pages.entry(address - offset).or_insert([0; PAYLOAD]);
            page[offset as usize] = *byte;
        }
    }
    let count = pages.len() as u32;
    let mut file = Vec::with_capacity(BLOCK * pages.len());
    for (index, (address, page)) in (0..).zip(&pages) {
        let [first, second] = MAGIC;
        let size = PAYLOAD as u32;
        for word in [
            first, second, HAS_FAMILY, *address, size, index, count, family,
        ] {
            file.extend(word.to_le_bytes());
        }
        file.extend(page);
        file.resize(file.len() + BLOCK - PAYLOAD - 36, 0);
        file.extend(MAGIC_AT_THE_END.to_le_bytes());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a file back by the format's page.
    fn pages(file: &[u8], family: u32) -> BTreeMap<u32, Vec<u8>> {
        let word = |block: &[u8], index: usize| {
            let bytes = block[4 * index..4 * index + 4].try_into().unwrap();
            u32::from_le_bytes(bytes)
        };
        let mut pages = BTreeMap::new();
        let blocks: Vec<&[u8]> = file.chunks(512).collect();
        for (index, block) in blocks.iter().enumerate() {
            assert_eq!(block.len(), 512);
            assert_eq!(&block[..4], b"UF2\n");
            assert_eq!(word(block, 1), 0x9E5D_5157);
            assert_eq!(word(block, 127), 0x0AB1_6F30);
            assert_eq!(word(block, 2), 0x2000);
            assert_eq!(
                [word(block, 5), word(block, 6)],
                [index as u32, blocks.len() as u32]
            );
            assert_eq!(word(block, 7), family);
            let size = word(block, 4) as usize;
            pages.insert(word(block, 3), block[32..32 + size].to_vec());
        }
        pages
    }

    #[test]
    fn pieces_come_back_page_by_page() {
        let boot: Vec<u8> = (0..=255).collect();
        let code: Vec<u8> = (0..300).map(|n| (n % 7) as u8).collect();
        let pieces = [
            (0x1000_0100, code.clone()),
            (0x1000_0000, boot.clone()),
            (0x1000_022E, vec![9]),
        ];
        let pages = pages(&uf2(0xE48B_FF56, &pieces), 0xE48B_FF56);
        assert_eq!(pages.len(), 3);
        assert_eq!(pages[&0x1000_0000], boot);
        assert_eq!(pages[&0x1000_0100], code[..256]);
        let last = &pages[&0x1000_0200];
        assert_eq!(last[..44], code[256..]);
        assert_eq!(last[44..48], [0, 0, 9, 0]);
    }
}
