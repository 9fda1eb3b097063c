//! An HTTP/3 client over one connection: for tests, and for who measures the daemon over QUIC.
//!
//! Invariant: requests of one connection may run side by side, and dropping it ends them.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::{Buf as _, Bytes, BytesMut};
use h3_quinn::{OpenStreams, quinn};
use hyper::{Request, Response};
use quinn::{Endpoint, IdleTimeout, TransportConfig, VarInt, crypto::rustls::QuicClientConfig};

/// A connection that is idle for so long is dead. The box asks its clients more often.
const IDLE_MS: u32 = 120_000;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Http3Error {
    /// No socket, or no TLS.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It cannot be begun.
    #[error(transparent)]
    Connect(#[from] quinn::ConnectError),
    /// The handshake failed, or the connection ended.
    #[error(transparent)]
    Connection(#[from] quinn::ConnectionError),
    /// HTTP/3 failed on the connection.
    #[error(transparent)]
    Http(#[from] h3::error::ConnectionError),
    /// The request failed.
    #[error(transparent)]
    Request(#[from] h3::error::StreamError),
}

/// Who connects: a UDP socket that several connections may share.
#[derive(Clone)]
pub struct Client {
    endpoint: Endpoint,
}

impl Client {
    /// A client with this side of TLS; the protocol `h3` is offered, whatever it says.
    ///
    /// # Errors
    /// [`Http3Error::Io`].
    pub fn new(mut tls: rustls::ClientConfig) -> Result<Self, Http3Error> {
        tls.alpn_protocols = vec![b"h3".to_vec()];
        Self::offering(tls)
    }

    /// A client that offers what its side of TLS says.
    ///
    /// # Errors
    /// [`Http3Error::Io`].
    pub fn offering(tls: rustls::ClientConfig) -> Result<Self, Http3Error> {
        let quic = QuicClientConfig::try_from(tls).map_err(io::Error::other)?;
        let mut config = quinn::ClientConfig::new(Arc::new(quic));
        let mut transport = TransportConfig::default();
        transport.max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))));
        config.transport_config(Arc::new(transport));
        let mut endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        endpoint.set_default_client_config(config);
        Ok(Self { endpoint })
    }

    /// A connection of QUIC, before anything is said on it.
    ///
    /// # Errors
    /// [`Http3Error`].
    pub async fn shake_hands(&self, address: SocketAddr) -> Result<quinn::Connection, Http3Error> {
        Ok(self.endpoint.connect(address, &address.ip().to_string())?.await?)
    }

    /// A connection for requests.
    ///
    /// # Errors
    /// [`Http3Error`].
    pub async fn connect(&self, address: SocketAddr) -> Result<Connection, Http3Error> {
        let quic = self.shake_hands(address).await?;
        let (mut driver, requests) = h3::client::new(h3_quinn::Connection::new(quic.clone())).await?;
        // Ends with the connection.
        tokio::spawn(async move { driver.wait_idle().await });
        Ok(Connection { quic, requests, authority: address.to_string() })
    }
}

/// A connection. Cheap to clone: the clones' requests share it.
#[derive(Clone)]
pub struct Connection {
    quic: quinn::Connection,
    requests: h3::client::SendRequest<OpenStreams, Bytes>,
    authority: String,
}

impl Connection {
    /// Asks, and reads the answer to its end. The request's URI may be a path.
    ///
    /// # Errors
    /// [`Http3Error`].
    pub async fn ask(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, Http3Error> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = format!("https://{}{path}", self.authority).parse().map_err(io::Error::other)?;
        let mut stream = self.requests.send_request(Request::from_parts(head, ())).await?;
        // The box may have answered before it has read all.
        let sent = async {
            if !body.is_empty() {
                stream.send_data(body).await?;
            }
            stream.finish().await
        };
        let sent = sent.await;
        let answer = match stream.recv_response().await {
            Ok(answer) => answer,
            Err(why) => return Err(sent.err().unwrap_or(why).into()),
        };
        let mut read = BytesMut::new();
        while let Some(mut part) = stream.recv_data().await? {
            let length = part.remaining();
            read.extend_from_slice(&part.copy_to_bytes(length));
        }
        Ok(answer.map(|()| read.freeze()))
    }

    /// QUIC below it.
    #[must_use]
    pub fn quic(&self) -> &quinn::Connection {
        &self.quic
    }
}
