//! Values of D-Bus: their types, and their form on the wire.

use std::fmt;

/// How deep values may be nested in each other; the specification allows 64 in all.
const DEPTH_LIMIT: usize = 32;
/// The longest array that the specification allows.
const ARRAY_LIMIT_BYTES: usize = 64 << 20;

/// A value. Arrays carry the type of their elements, which they need even when empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Byte(u8),
    Bool(bool),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    Double(f64),
    Text(String),
    Path(String),
    Signature(String),
    Array(String, Vec<Value>),
    Struct(Vec<Value>),
    Entry(Box<(Value, Value)>),
    Variant(Box<Value>),
}

/// Bytes that are no message.
#[derive(Debug)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed D-Bus data: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

impl Malformed {
    /// As the platform's error. No `From`: one more of them, and `?` no longer knows what closures
    /// of other crates return.
    pub(crate) fn into_error(self) -> dhow_base::Error {
        dhow_base::Error::new(dhow_base::Kind::Corrupt, self.to_string())
    }
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn variant(value: Self) -> Self {
        Self::Variant(Box::new(value))
    }

    /// Its type, as a signature.
    pub(crate) fn signature(&self) -> String {
        match self {
            Self::Byte(_) => "y".to_owned(),
            Self::Bool(_) => "b".to_owned(),
            Self::I16(_) => "n".to_owned(),
            Self::U16(_) => "q".to_owned(),
            Self::I32(_) => "i".to_owned(),
            Self::U32(_) => "u".to_owned(),
            Self::I64(_) => "x".to_owned(),
            Self::U64(_) => "t".to_owned(),
            Self::Double(_) => "d".to_owned(),
            Self::Text(_) => "s".to_owned(),
            Self::Path(_) => "o".to_owned(),
            Self::Signature(_) => "g".to_owned(),
            Self::Variant(_) => "v".to_owned(),
            Self::Array(element, _) => format!("a{element}"),
            Self::Struct(fields) => {
                format!("({})", fields.iter().map(Self::signature).collect::<String>())
            }
            Self::Entry(pair) => format!("{{{}{}}}", pair.0.signature(), pair.1.signature()),
        }
    }

    /// Appends it in little endian; offsets count from the buffer's begin.
    pub(crate) fn write(&self, buffer: &mut Vec<u8>) {
        pad(buffer, alignment(self.signature().as_bytes()[0]));
        match self {
            Self::Byte(value) => buffer.push(*value),
            Self::Bool(value) => buffer.extend(u32::from(*value).to_le_bytes()),
            Self::I16(value) => buffer.extend(value.to_le_bytes()),
            Self::U16(value) => buffer.extend(value.to_le_bytes()),
            Self::I32(value) => buffer.extend(value.to_le_bytes()),
            Self::U32(value) => buffer.extend(value.to_le_bytes()),
            Self::I64(value) => buffer.extend(value.to_le_bytes()),
            Self::U64(value) => buffer.extend(value.to_le_bytes()),
            Self::Double(value) => buffer.extend(value.to_le_bytes()),
            Self::Text(text) | Self::Path(text) => {
                buffer.extend(length_of(text.len()).to_le_bytes());
                buffer.extend(text.as_bytes());
                buffer.push(0);
            }
            Self::Signature(text) => write_signature(text, buffer),
            Self::Array(element, items) => write_array(element, items, buffer),
            Self::Struct(fields) => fields.iter().for_each(|field| field.write(buffer)),
            Self::Entry(pair) => {
                pair.0.write(buffer);
                pair.1.write(buffer);
            }
            Self::Variant(value) => {
                write_signature(&value.signature(), buffer);
                value.write(buffer);
            }
        }
    }
}

fn length_of(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("what we send is short")
}

fn write_signature(text: &str, buffer: &mut Vec<u8>) {
    buffer.push(u8::try_from(text.len()).expect("what we send has short types"));
    buffer.extend(text.as_bytes());
    buffer.push(0);
}

/// The length counts neither itself nor the padding before the first element.
fn write_array(element: &str, items: &[Value], buffer: &mut Vec<u8>) {
    let at = buffer.len();
    buffer.extend([0; 4]);
    pad(buffer, alignment(element.as_bytes()[0]));
    let begin = buffer.len();
    items.iter().for_each(|item| item.write(buffer));
    let length = length_of(buffer.len() - begin);
    buffer[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

pub(super) fn pad(buffer: &mut Vec<u8>, alignment: usize) {
    buffer.resize(buffer.len().next_multiple_of(alignment), 0);
}

/// By the first letter of a type.
fn alignment(code: u8) -> usize {
    match code {
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 1,
    }
}

/// Reads values from bytes that somebody else wrote.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    is_big_endian: bool,
}

macro_rules! numbers {
    ($($name:ident -> $type:ty),+) => {
        $(fn $name(&mut self) -> Result<$type, Malformed> {
            const SIZE: usize = size_of::<$type>();
            self.align(SIZE)?;
            let bytes: [u8; SIZE] = self.take(SIZE)?.try_into().expect("as many as were asked for");
            let (big, little) = (<$type>::from_be_bytes(bytes), <$type>::from_le_bytes(bytes));
            Ok(if self.is_big_endian { big } else { little })
        })+
    };
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize, is_big_endian: bool) -> Self {
        Self { bytes, at, is_big_endian }
    }

    numbers!(i16 -> i16, u16 -> u16, i32 -> i32, i64 -> i64, u64 -> u64, f64 -> f64, byte -> u8);

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.align(4)?;
        let bytes: [u8; 4] = self.take(4)?.try_into().expect("as many as were asked for");
        Ok(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(Malformed("a length"))?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed("it ends early"))?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn align(&mut self, alignment: usize) -> Result<(), Malformed> {
        let padding = self.at.next_multiple_of(alignment) - self.at;
        self.take(padding).map(|_| ())
    }

    /// All values of a signature.
    pub(super) fn values(&mut self, signature: &str) -> Result<Vec<Value>, Malformed> {
        self.nested_values(signature, 0)
    }

    fn nested_values(&mut self, signature: &str, depth: usize) -> Result<Vec<Value>, Malformed> {
        let mut values = Vec::new();
        let mut rest = signature;
        while !rest.is_empty() {
            let (one, after) = split_type(rest)?;
            values.push(self.value(one, depth)?);
            rest = after;
        }
        Ok(values)
    }

    /// One value of one complete type.
    fn value(&mut self, kind: &str, depth: usize) -> Result<Value, Malformed> {
        if depth > DEPTH_LIMIT {
            return Err(Malformed("it is nested too deeply"));
        }
        Ok(match kind.as_bytes()[0] {
            b'y' => Value::Byte(self.byte()?),
            b'b' => match self.u32()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return Err(Malformed("a boolean")),
            },
            b'n' => Value::I16(self.i16()?),
            b'q' => Value::U16(self.u16()?),
            b'i' => Value::I32(self.i32()?),
            // An fd's number; none is passed, but a property may have the type.
            b'u' | b'h' => Value::U32(self.u32()?),
            b'x' => Value::I64(self.i64()?),
            b't' => Value::U64(self.u64()?),
            b'd' => Value::Double(self.f64()?),
            b's' => Value::Text(self.text()?),
            b'o' => Value::Path(self.text()?),
            b'g' => Value::Signature(self.signature()?),
            b'a' => self.array(&kind[1..], depth)?,
            b'(' => {
                self.align(8)?;
                Value::Struct(self.nested_values(&kind[1..kind.len() - 1], depth + 1)?)
            }
            b'{' => {
                self.align(8)?;
                let mut pair = self.nested_values(&kind[1..kind.len() - 1], depth + 1)?;
                match (pair.pop(), pair.pop(), pair.pop()) {
                    (Some(value), Some(key), None) => Value::Entry(Box::new((key, value))),
                    _ => return Err(Malformed("a dictionary's entry")),
                }
            }
            b'v' => {
                let inner = self.signature()?;
                match split_type(&inner)? {
                    (one, "") => Value::variant(self.value(one, depth + 1)?),
                    _ => return Err(Malformed("a variant of several types")),
                }
            }
            _ => return Err(Malformed("a type")),
        })
    }

    fn array(&mut self, element: &str, depth: usize) -> Result<Value, Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| Malformed("a length"))?;
        if length > ARRAY_LIMIT_BYTES {
            return Err(Malformed("an array is too long"));
        }
        self.align(alignment(element.as_bytes()[0]))?;
        let end = self.at.checked_add(length).ok_or(Malformed("a length"))?;
        if end > self.bytes.len() {
            return Err(Malformed("it ends early"));
        }
        let mut items = Vec::new();
        while self.at < end {
            items.push(self.value(element, depth + 1)?);
        }
        if self.at != end {
            return Err(Malformed("an array ends inside of an element"));
        }
        Ok(Value::Array(element.to_owned(), items))
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| Malformed("a length"))?;
        self.terminated(length)
    }

    fn signature(&mut self) -> Result<String, Malformed> {
        let length = usize::from(self.byte()?);
        self.terminated(length)
    }

    fn terminated(&mut self, length: usize) -> Result<String, Malformed> {
        let text = self.take(length)?;
        if self.take(1)? != [0] || text.contains(&0) {
            return Err(Malformed("a text's end"));
        }
        String::from_utf8(text.to_vec()).map_err(|_| Malformed("a text is not UTF-8"))
    }
}

/// The first complete type of a signature, and what follows it.
pub(super) fn split_type(signature: &str) -> Result<(&str, &str), Malformed> {
    let end = type_end(signature.as_bytes(), 0)?;
    // Types are ASCII, so this is between two characters.
    Ok(signature.split_at(end))
}

fn type_end(signature: &[u8], depth: usize) -> Result<usize, Malformed> {
    if depth > DEPTH_LIMIT {
        return Err(Malformed("a type is nested too deeply"));
    }
    let closing = match signature.first() {
        Some(b'a') => return Ok(1 + type_end(&signature[1..], depth + 1)?),
        Some(b'(') => b')',
        Some(b'{') => b'}',
        Some(code) if b"ybnqiuxtdsoghv".contains(code) => return Ok(1),
        _ => return Err(Malformed("a type")),
    };
    let mut at = 1;
    while signature.get(at) != Some(&closing) {
        at += type_end(signature.get(at..).unwrap_or_default(), depth + 1)?;
    }
    if at == 1 { Err(Malformed("an empty structure")) } else { Ok(at + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Value> {
        let property =
            |name: &str, value| Value::Struct(vec![Value::text(name), Value::variant(value)]);
        vec![
            Value::Byte(7),
            Value::text("dhow-c1.scope"),
            Value::Bool(true),
            Value::Array(
                "(sv)".into(),
                vec![
                    property("PIDs", Value::Array("u".into(), vec![Value::U32(1), Value::U32(2)])),
                    property("MemoryMax", Value::U64(u64::MAX)),
                    property("DeviceAllow", Value::Array("(ss)".into(), Vec::new())),
                ],
            ),
            Value::I16(-2),
            Value::Double(0.5),
            Value::Path("/org/freedesktop".into()),
            Value::Signature("a{sv}".into()),
            Value::Array(
                "{si}".into(),
                vec![Value::Entry(Box::new((Value::text("x"), Value::I32(-1))))],
            ),
            Value::I64(i64::MIN),
            Value::U16(3),
        ]
    }

    fn signature(values: &[Value]) -> String {
        values.iter().map(Value::signature).collect()
    }

    fn written(values: &[Value]) -> Vec<u8> {
        let mut buffer = Vec::new();
        values.iter().for_each(|value| value.write(&mut buffer));
        buffer
    }

    #[test]
    fn what_is_written_is_read_again() {
        let values = sample();
        let bytes = written(&values);

        let read = Reader::new(&bytes, 0, false).values(&signature(&values)).unwrap();

        assert_eq!(read, values);
    }

    #[test]
    fn the_wire_is_as_the_specification_draws_it() {
        let bytes = written(&[
            Value::Byte(1),
            Value::text("foo"),
            Value::Array("t".into(), vec![Value::U64(5)]),
        ]);

        let expected =
            [&[1, 0, 0, 0, 3, 0, 0, 0][..], b"foo\0", &[8, 0, 0, 0], &[5, 0, 0, 0, 0, 0, 0, 0]]
                .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn the_other_byte_order_is_read_too() {
        let bytes = [0, 0, 0, 3, b'a', b'b', b'c', 0, 0, 0, 1, 0];

        let read = Reader::new(&bytes, 0, true).values("su").unwrap();

        assert_eq!(read, [Value::text("abc"), Value::U32(256)]);
    }

    /// Every cut and every changed byte of a good text is refused or read, and never more than
    /// that. Longer mixtures come from a generator with a known begin.
    #[test]
    fn no_bytes_whatever_make_it_panic() {
        let values = sample();
        let (bytes, signature) = (written(&values), signature(&values));
        for end in 0..bytes.len() {
            let read = Reader::new(&bytes[..end], 0, false).values(&signature);
            assert!(read.is_err(), "cut at {end}");
        }
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        for _ in 0..20_000 {
            let mut changed = bytes.clone();
            for _ in 0..4 {
                let [low, high, value, ..] = random();
                let at = usize::from(u16::from_le_bytes([low, high])) % changed.len();
                changed[at] = value;
            }
            drop(Reader::new(&changed, 0, false).values(&signature));
            drop(Reader::new(&changed, 0, true).values(&signature));
            let letters = b"ybnqiuxtdsogvah(){}";
            let odd: String = random()
                .iter()
                .map(|byte| char::from(letters[usize::from(*byte) % letters.len()]))
                .collect();
            drop(Reader::new(&changed, 0, false).values(&odd));
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let deep = "a".repeat(200) + "y";
        assert!(split_type(&deep).is_err());
        assert!(split_type("()").is_err());
        assert!(split_type("(y").is_err());
        assert!(split_type("é").is_err());
        // A variant in a variant in a variant …
        let mut bytes = Vec::new();
        for _ in 0..200 {
            bytes.extend([1, b'v', 0]);
        }
        assert!(Reader::new(&bytes, 0, false).values("v").is_err());
    }
}
