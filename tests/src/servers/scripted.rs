//! A server that says over TLS what a test has written down, whatever it is asked: for what no real one says.
//!
//! Each message that comes in is answered by the next answer of the script, with the number of the message in it; after the last
//! answer the server says nothing, and keeps the connection.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::{ServerError, authority::Identity};

/// What is said to one message: whole LDAP messages, or any octets. It is given the message's number as it is written.
pub type Answer = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// An element of BER.
#[must_use]
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag, 0x84];
    bytes.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(content);
    bytes
}

/// A message of a kind with this number.
#[must_use]
pub fn message(number: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    element(0x30, &[element(2, number), element(kind, content)].concat())
}

/// An outcome of this kind: success.
#[must_use]
pub fn success(number: &[u8], kind: u8) -> Vec<u8> {
    message(number, kind, &[vec![0x0a, 1, 0], element(4, b""), element(4, b"")].concat())
}

/// An entry at this place with these attributes.
#[must_use]
pub fn entry(number: &[u8], dn: &str, attributes: &[(&str, &[&[u8]])]) -> Vec<u8> {
    let attributes: Vec<u8> = attributes
        .iter()
        .flat_map(|(name, values)| {
            let values: Vec<u8> = values.iter().flat_map(|value| element(4, value)).collect();
            element(0x30, &[element(4, name.as_bytes()), element(0x31, &values)].concat())
        })
        .collect();
    message(number, 0x64, &[element(4, dn.as_bytes()), element(0x30, &attributes)].concat())
}

/// Starts a server on this machine that answers every connection by the script. It ends with the process.
///
/// # Errors
/// [`ServerError`].
pub fn start(identity: &Identity, script: Vec<Answer>) -> Result<SocketAddr, ServerError> {
    let failed = |why: String| ServerError::Failed("scripted server".into(), why);
    let certificate =
        CertificateDer::from_pem_file(&identity.certificate).map_err(|why| failed(why.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|why| failed(why.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
        .map_err(|why| failed(why.to_string()))?;
    let (config, script) = (Arc::new(config), Arc::new(script));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, script) = (Arc::clone(&config), Arc::clone(&script));
            // A client that hangs up ends its thread, which is what is expected.
            thread::spawn(move || serve(stream, config, &script));
        }
    });
    Ok(address)
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, script: &[Answer]) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut answers = script.iter();
    loop {
        let number = read_number(&mut stream)?;
        if let Some(answer) = answers.next() {
            stream.write_all(&answer(&number))?;
            stream.flush()?;
        }
    }
}

/// Reads a whole message: the number that it has.
fn read_number(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let mut length = usize::from(head[1]);
    if length > 0x80 {
        let mut octets = vec![0; length - 0x80];
        stream.read_exact(&mut octets)?;
        length = octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
    }
    let mut content = vec![0; length];
    stream.read_exact(&mut content)?;
    let count = content.get(1).copied().map(usize::from).unwrap_or_default();
    content.get(2..2 + count).map(<[u8]>::to_vec).ok_or_else(|| io::Error::other("no message"))
}
