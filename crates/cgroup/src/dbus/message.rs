//! Messages: a header of numbered fields, and a body.

use super::value::{Malformed, Reader, Value, pad};

/// The part of a header that has the same length in every message.
pub(super) const FIXED_BYTES: usize = 16;
/// The longest message that is taken. The specification allows 128 MiB; what is asked for here
/// fits a page.
const LIMIT_BYTES: usize = 1 << 20;

// Kinds of messages, and numbers of header fields.
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A question to somebody.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// Who is asked.
    pub(crate) destination: &'a str,
    /// Which object.
    pub(crate) path: &'a str,
    /// Which of its interfaces.
    pub(crate) interface: &'a str,
    /// Which method.
    pub(crate) member: &'a str,
    /// The arguments.
    pub(crate) body: Vec<Value>,
}

impl Call<'_> {
    /// A question to the bus itself.
    pub(crate) fn to_bus(member: &str) -> Call<'_> {
        Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member,
            body: Vec::new(),
        }
    }

    pub(super) fn encode(&self, serial: u32) -> Result<Vec<u8>, Malformed> {
        let mut body = Vec::new();
        self.body.iter().for_each(|value| value.write(&mut body));
        let signature: String = self.body.iter().map(Value::signature).collect();
        if signature.len() > 255 || body.len() > LIMIT_BYTES / 2 {
            return Err(Malformed("the arguments are too long"));
        }
        let field = |number: u8, value: Value| {
            Value::Struct(vec![Value::Byte(number), Value::variant(value)])
        };
        let mut fields = vec![
            field(PATH, Value::Path(self.path.to_owned())),
            field(INTERFACE, Value::text(self.interface)),
            field(MEMBER, Value::text(self.member)),
            field(DESTINATION, Value::text(self.destination)),
        ];
        if !signature.is_empty() {
            fields.push(field(SIGNATURE, Value::Signature(signature)));
        }
        let length = u32::try_from(body.len()).map_err(|_| Malformed("the body is too long"))?;
        let mut message = vec![b'l', METHOD_CALL, 0, 1];
        message.extend(length.to_le_bytes());
        message.extend(serial.to_le_bytes());
        Value::Array("(yv)".to_owned(), fields).write(&mut message);
        pad(&mut message, 8);
        message.append(&mut body);
        Ok(message)
    }
}

/// A message that came.
#[derive(Debug)]
pub(crate) struct Message {
    /// Whether it is a signal; a return and an error are answers.
    pub(crate) is_signal: bool,
    /// Which question it answers.
    pub(crate) reply_serial: Option<u32>,
    /// The name of an error.
    pub(crate) error: Option<String>,
    /// The interface of a signal.
    pub(crate) interface: String,
    /// The name of a signal.
    pub(crate) member: String,
    /// What it says.
    pub(crate) body: Vec<Value>,
}

/// Of a whole message whose fixed part is given.
pub(super) fn length(fixed: &[u8]) -> Result<usize, Malformed> {
    let is_big_endian = is_big_endian(fixed)?;
    let size = |at| {
        let number = Reader::new(fixed, at, is_big_endian).u32()?;
        usize::try_from(number).map_err(|_| Malformed("a length"))
    };
    let (body, fields) = (size(4)?, size(12)?);
    if body > LIMIT_BYTES || fields > LIMIT_BYTES {
        return Err(Malformed("a message is too long"));
    }
    Ok((FIXED_BYTES + fields).next_multiple_of(8) + body)
}

fn is_big_endian(fixed: &[u8]) -> Result<bool, Malformed> {
    match fixed.first() {
        Some(b'l') => Ok(false),
        Some(b'B') => Ok(true),
        _ => Err(Malformed("a message's byte order")),
    }
}

impl Message {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let is_big_endian = is_big_endian(bytes)?;
        let kind = *bytes.get(1).ok_or(Malformed("it ends early"))?;
        if ![METHOD_CALL, METHOD_RETURN, ERROR, SIGNAL].contains(&kind) || bytes.get(3) != Some(&1)
        {
            return Err(Malformed("a message's kind or version"));
        }
        let mut reader = Reader::new(bytes, 12, is_big_endian);
        let fields = reader.values("a(yv)")?;
        let mut message = Self {
            is_signal: kind == SIGNAL,
            reply_serial: None,
            error: None,
            interface: String::new(),
            member: String::new(),
            body: Vec::new(),
        };
        let mut signature = String::new();
        for (number, value) in fields.into_iter().flat_map(header_fields) {
            match (number, value) {
                (REPLY_SERIAL, Value::U32(serial)) => message.reply_serial = Some(serial),
                (ERROR_NAME, Value::Text(name)) => message.error = Some(name),
                (INTERFACE, Value::Text(name)) => message.interface = name,
                (MEMBER, Value::Text(name)) => message.member = name,
                (SIGNATURE, Value::Signature(text)) => signature = text,
                (REPLY_SERIAL | ERROR_NAME | INTERFACE | MEMBER | SIGNATURE, _) => {
                    return Err(Malformed("a header field's type"));
                }
                _ => {}
            }
        }
        if kind == ERROR && message.error.is_none() {
            return Err(Malformed("an error has no name"));
        }
        reader.align(8)?;
        message.body = reader.values(&signature)?;
        Ok(message)
    }
}

/// The numbered values of a header.
fn header_fields(array: Value) -> Vec<(u8, Value)> {
    let Value::Array(_, fields) = array else { return Vec::new() };
    let field = |field: Value| match field {
        Value::Struct(parts) => match <[Value; 2]>::try_from(parts) {
            Ok([Value::Byte(number), Value::Variant(value)]) => Some((number, *value)),
            _ => None,
        },
        _ => None,
    };
    fields.into_iter().filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Vec<u8> {
        let body = vec![Value::text("a.scope"), Value::U64(9)];
        Call { body, ..Call::to_bus("StartTransientUnit") }.encode(77).unwrap()
    }

    #[test]
    fn a_message_is_as_long_as_its_begin_says_and_reads_back() {
        let bytes = call();

        let message = Message::decode(&bytes).unwrap();

        assert_eq!(length(&bytes[..FIXED_BYTES]).unwrap(), bytes.len());
        assert_eq!(message.member, "StartTransientUnit");
        assert_eq!(message.body, [Value::text("a.scope"), Value::U64(9)]);
        assert!(!message.is_signal);
    }

    #[test]
    fn broken_messages_are_refused_and_never_more() {
        let bytes = call();
        for at in 0..bytes.len() {
            assert!(Message::decode(&bytes[..at]).is_err(), "cut at {at}");
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                drop(Message::decode(&changed));
                drop(length(&changed[..FIXED_BYTES]));
            }
        }
        assert!(length(&[b'l', 1, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
