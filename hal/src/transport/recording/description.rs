//! umockdev's description of devices: blocks of lines `P:` path, `N:` node, `E:` udev property,
//! `A:` and `H:` attributes of sysfs.
//!
//! Invariant: whatever is missing is looked for in another place of the same block, and what no place
//! tells is left out; the reader stands first in files that umockdev writes, its hubs follow.

/// What a description tells of one USB device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// Vendor and product.
    pub ids: (u16, u16),
    /// Bus and address at the time of the recording.
    pub place: Option<(u16, u8)>,
}

/// The USB devices of a description, in its order.
#[must_use]
pub fn devices(description: &str) -> Vec<Described> {
    let mut blocks: Vec<Vec<&str>> = vec![Vec::new()];
    for line in description.lines().map(str::trim_end) {
        if line.starts_with("P: ") {
            blocks.push(Vec::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push(line);
        }
    }
    blocks.iter().filter_map(|block| described(block)).collect()
}

fn described(block: &[&str]) -> Option<Described> {
    let value = |key: &str| block.iter().find_map(|line| line.strip_prefix(key));
    // Attributes end in a line feed that is written as two characters.
    let attribute = |key: &str| value(key).map(|text| text.strip_suffix("\\n").unwrap_or(text).trim());
    let hex = |text: &str| u16::from_str_radix(text, 16).ok();
    let product = || {
        let parts: Vec<_> = value("E: PRODUCT=")?.split('/').map(hex).collect();
        // Input devices have four parts, with the bus in front.
        if let [Some(vendor), Some(product), _] = parts[..] { Some((vendor, product)) } else { None }
    };
    let properties = || Some((hex(value("E: ID_VENDOR_ID=")?)?, hex(value("E: ID_MODEL_ID=")?)?));
    let attributes = || Some((hex(attribute("A: idVendor=")?)?, hex(attribute("A: idProduct=")?)?));
    let node = || value("N: ")?.strip_prefix("bus/usb/")?.split_once('=');
    let descriptor = || {
        let text = value("H: descriptors=").or_else(|| node().map(|(_, descriptors)| descriptors))?;
        // Little endian, at bytes 8 and 10 of the device descriptor.
        let word = |at: usize| Some(hex(text.get(at..at + 4)?)?.swap_bytes());
        Some((word(16)?, word(20)?))
    };
    let ids = product().or_else(properties).or_else(attributes).or_else(descriptor)?;
    let decimal = |bus: Option<&str>, device: Option<&str>| Some((bus?.parse().ok()?, device?.parse().ok()?));
    let place = decimal(value("E: BUSNUM="), value("E: DEVNUM="))
        .or_else(|| decimal(attribute("A: busnum="), attribute("A: devnum=")))
        .or_else(|| {
            let (bus, device) = node()?.0.split_once('/')?;
            decimal(Some(bus), Some(device))
        });
    Some(Described { ids, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    const READER: (u16, u16) = (0x045E, 0x00CA);

    #[test]
    fn the_devices_come_in_the_order_of_the_file() {
        let text = "P: /devices/x\nE: PRODUCT=5ba/a/103\nE: BUSNUM=001\nE: DEVNUM=050\n\n\
                    P: /devices\nE: PRODUCT=1d6b/2/606\n";
        let reader = Described { ids: (0x05BA, 0x000A), place: Some((1, 50)) };
        assert_eq!(devices(text), [reader, Described { ids: (0x1D6B, 2), place: None }]);
    }

    #[test]
    fn every_place_that_tells_the_ids_is_looked_at() {
        for text in [
            "E: PRODUCT=45e/ca/100\r\n",
            "P: /x\nE: ID_VENDOR_ID=045e\nE: ID_MODEL_ID=00ca\n",
            "P: /x\nE: PRODUCT=\nA: idProduct=00ca\\n\nA: idVendor=045e\\n\n",
            "P: /x\nH: descriptors=12010002000000405E04CA000001010203010902\n",
            "P: /x\nN: bus/usb/001/007=12010002000000405E04CA000001010203010902\n",
        ] {
            let found: Vec<_> = devices(text).iter().map(|device| device.ids).collect();
            assert_eq!(found, [READER], "{text}");
        }
    }

    #[test]
    fn every_place_that_tells_the_address_is_looked_at() {
        for text in [
            "E: BUSNUM=003\nE: DEVNUM=017\n",
            "A: busnum=3\\n\nA: devnum=17\\n\n",
            "N: bus/usb/003/017=12010002\n",
        ] {
            let found = devices(&format!("P: /x\nE: PRODUCT=45e/ca/100\n{text}"));
            assert_eq!(found, [Described { ids: READER, place: Some((3, 17)) }], "{text}");
        }
    }

    #[test]
    fn blocks_that_are_no_usb_device_are_left_out() {
        for text in
            ["", "P: /x\n", "P: /x\nE: PRODUCT=3/45e/ca/111\n", "E: PRODUCT=zzz/1/1\n", "H: descriptors=12é"]
        {
            assert_eq!(devices(text), [], "{text}");
        }
    }
}
