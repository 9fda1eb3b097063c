//! Writes update bundles as RAUC does (format `verity`): a squashfs with the images, its dm-verity
//! tree, and a CMS signature that holds the manifest.
//!
//! Written apart from the reader in the daemon, and compared with RAUC itself by tests: writer and
//! reader must not share a misunderstanding.

use std::{
    fs::File,
    io::{Cursor, Read},
    path::Path,
};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use backhand::{
    FilesystemCompressor, FilesystemWriter, NodeHeader,
    compression::Compressor,
    kind::{Kind, LE_V4_0},
};
use cms::{
    cert::{
        CertificateChoices, IssuerAndSerialNumber,
        x509::{
            Certificate,
            attr::Attribute,
            der::{
                Any, Decode, Encode, Tag,
                asn1::{ObjectIdentifier, OctetString, SetOfVec},
            },
            spki::AlgorithmIdentifierOwned,
        },
    },
    content_info::{CmsVersion, ContentInfo},
    signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256, Sha384};

const BLOCK: usize = 4096;
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ECDSA_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The key or certificate cannot be used.
    #[error("key or certificate: {0}")]
    Key(String),
    /// The squashfs cannot be made.
    #[error("squashfs: {0}")]
    Squashfs(String),
    /// The signature cannot be made.
    #[error("signature: {0}")]
    Signature(String),
}

/// What goes into a bundle.
pub struct Content<'a> {
    /// Which board it is for.
    pub board: &'a str,
    /// Which version it brings.
    pub version: &'a str,
    /// The root file system with its verity tree.
    pub root: &'a [u8],
    /// The FAT with kernel and initramfs.
    pub boot: &'a [u8],
}

/// Who signs.
pub struct Signer {
    chain: Vec<CertificateDer<'static>>,
    key: Key,
}

enum Key {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    /// From PEM: a private key in PKCS #8, and its certificate with those between it and the keyring.
    ///
    /// # Errors
    /// [`BundleError::Key`].
    pub fn from_pem(key: &[u8], certificates: &[u8]) -> Result<Self, BundleError> {
        let bad = |why: &dyn std::fmt::Display| BundleError::Key(why.to_string());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|why| bad(&why))?;
        if chain.is_empty() {
            return Err(bad(&"there is no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|why| bad(&why))?;
        let PrivateKeyDer::Pkcs8(der) = key else { return Err(bad(&"the key is not in PKCS #8")) };
        let der = der.secret_pkcs8_der();
        let key = if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der) {
            Key::P256(key)
        } else if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, der) {
            Key::P384(key)
        } else {
            Key::Rsa(
                RsaKeyPair::from_pkcs8(der).map_err(|_| bad(&"the key is neither P-256, P-384 nor RSA"))?,
            )
        };
        let signer = Self { chain, key };
        let leaf = signer.leaf()?;
        let stated = leaf.tbs_certificate.subject_public_key_info.to_der().map_err(|why| bad(&why))?;
        let public = match &signer.key {
            Key::P256(key) | Key::P384(key) => key.public_key().as_der().map(|d| d.as_ref().to_vec()),
            Key::Rsa(key) => key
                .public_key()
                .as_der()
                .map(|d: aws_lc_rs::encoding::PublicKeyX509Der<'_>| d.as_ref().to_vec()),
        };
        if public.map_err(|why| bad(&why))? == stated {
            Ok(signer)
        } else {
            Err(bad(&"the certificate is not the key's"))
        }
    }

    fn leaf(&self) -> Result<Certificate, BundleError> {
        Certificate::from_der(&self.chain[0]).map_err(|why| BundleError::Key(why.to_string()))
    }

    fn digest(&self, content: &[u8]) -> Vec<u8> {
        match self.key {
            Key::P384(_) => Sha384::digest(content).to_vec(),
            _ => Sha256::digest(content).to_vec(),
        }
    }

    fn raw(&self, message: &[u8]) -> Result<Vec<u8>, BundleError> {
        let random = SystemRandom::new();
        let failed = |_| BundleError::Signature("the key does not sign".to_owned());
        match &self.key {
            Key::P256(key) | Key::P384(key) => {
                Ok(key.sign(&random, message).map_err(failed)?.as_ref().to_vec())
            }
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }

    /// A CMS signature with the content inside.
    ///
    /// # Errors
    /// [`BundleError::Signature`].
    pub fn sign(&self, content: &[u8]) -> Result<Vec<u8>, BundleError> {
        self.signed_data(content).map_err(|why| match why {
            Failed::Der(why) => BundleError::Signature(why.to_string()),
            Failed::Other(why) => why,
        })
    }

    fn signed_data(&self, content: &[u8]) -> Result<Vec<u8>, Failed> {
        let leaf = self.leaf()?;
        let (digest_oid, signature_oid) = match self.key {
            Key::P256(_) => (SHA_256, ECDSA_SHA_256),
            Key::P384(_) => (SHA_384, ECDSA_SHA_384),
            Key::Rsa(_) => (SHA_256, RSA),
        };
        let algorithm = |oid, null: bool| AlgorithmIdentifierOwned { oid, parameters: null.then(Any::null) };
        let attribute =
            |oid, value: Any| Ok::<_, Failed>(Attribute { oid, values: SetOfVec::try_from(vec![value])? });
        let digest = OctetString::new(self.digest(content))?;
        let attributes = SetOfVec::try_from(vec![
            attribute(CONTENT_TYPE, Any::encode_from(&DATA)?)?,
            attribute(MESSAGE_DIGEST, Any::encode_from(&digest)?)?,
        ] as Vec<Attribute>)?;
        let signature = self.raw(&attributes.to_der()?)?;
        let certificates =
            self.chain.iter().map(|der| Ok(CertificateChoices::Certificate(Certificate::from_der(der)?)));
        let certificates = certificates.collect::<Result<Vec<_>, cms::cert::x509::der::Error>>()?;
        let signer = SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: leaf.tbs_certificate.issuer,
                serial_number: leaf.tbs_certificate.serial_number,
            }),
            digest_alg: algorithm(digest_oid, false),
            signed_attrs: Some(attributes),
            signature_algorithm: algorithm(signature_oid, signature_oid == RSA),
            signature: OctetString::new(signature)?,
            unsigned_attrs: None,
        };
        let signed = SignedData {
            version: CmsVersion::V1,
            digest_algorithms: SetOfVec::try_from(vec![algorithm(digest_oid, false)])?,
            encap_content_info: EncapsulatedContentInfo {
                econtent_type: DATA,
                econtent: Some(Any::new(Tag::OctetString, content)?),
            },
            certificates: Some(certificates.try_into()?),
            crls: None,
            signer_infos: vec![signer].try_into()?,
        };
        let info = ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&signed)? };
        Ok(info.to_der()?)
    }
}

enum Failed {
    Der(cms::cert::x509::der::Error),
    Other(BundleError),
}

impl From<cms::cert::x509::der::Error> for Failed {
    fn from(why: cms::cert::x509::der::Error) -> Self {
        Self::Der(why)
    }
}

impl From<BundleError> for Failed {
    fn from(why: BundleError) -> Self {
        Self::Other(why)
    }
}

/// A bundle's parts before they are joined: tests damage them one by one.
pub struct Parts {
    /// The squashfs, filled up to whole blocks.
    pub payload: Vec<u8>,
    /// Its hash tree.
    pub tree: Vec<u8>,
    /// What is signed.
    pub manifest: String,
}

impl Parts {
    /// Packs the images and writes the manifest that binds them.
    ///
    /// # Errors
    /// [`BundleError::Squashfs`].
    pub fn new(content: &Content<'_>) -> Result<Self, BundleError> {
        let payload = squashfs(content)?;
        let mut salt = [0; 32];
        aws_lc_rs::rand::fill(&mut salt)
            .map_err(|_| BundleError::Signature("no random numbers".to_owned()))?;
        let (tree, root) = tree(&payload, &salt);
        let manifest = format!(
            "[update]\ncompatible={}\nversion={}\n\n[bundle]\nformat=verity\nverity-hash={}\nverity-salt={}\n\
             verity-size={}\n\n[image.rootfs]\nsha256={}\nsize={}\nfilename=rootfs.img\n\n\
             [image.boot]\nsha256={}\nsize={}\nfilename=boot.vfat\n",
            content.board,
            content.version,
            hex(&root),
            hex(&salt),
            tree.len(),
            hex(&Sha256::digest(content.root)),
            content.root.len(),
            hex(&Sha256::digest(content.boot)),
            content.boot.len(),
        );
        Ok(Self { payload, tree, manifest })
    }

    /// Joins the parts with a signature.
    #[must_use]
    pub fn join(&self, signature: &[u8]) -> Vec<u8> {
        let length = (signature.len() as u64).to_be_bytes();
        [&self.payload[..], &self.tree, signature, &length].concat()
    }
}

/// A whole signed bundle.
///
/// # Errors
/// [`BundleError`].
pub fn write(content: &Content<'_>, signer: &Signer) -> Result<Vec<u8>, BundleError> {
    let parts = Parts::new(content)?;
    Ok(parts.join(&signer.sign(parts.manifest.as_bytes())?))
}

/// Reads the images, the key and the certificate, and writes the bundle.
///
/// # Errors
/// [`BundleError`].
pub fn from_files(
    [root, boot, key, certificate, out]: [&Path; 5],
    board: &str,
    version: &str,
) -> Result<u64, BundleError> {
    let read = |path: &Path| {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|why| BundleError::File(path.display().to_string(), why))?;
        Ok(bytes)
    };
    let signer = Signer::from_pem(&read(key)?, &read(certificate)?)?;
    let (root, boot) = (read(root)?, read(boot)?);
    let bundle = write(&Content { board, version, root: &root, boot: &boot }, &signer)?;
    std::fs::write(out, &bundle).map_err(|why| BundleError::File(out.display().to_string(), why))?;
    Ok(bundle.len() as u64)
}

fn squashfs(content: &Content<'_>) -> Result<Vec<u8>, BundleError> {
    let failed = |why: backhand::BackhandError| BundleError::Squashfs(why.to_string());
    let mut writer = FilesystemWriter::default();
    writer.set_kind(Kind::from_const(LE_V4_0).map_err(BundleError::Squashfs)?);
    writer.set_block_size(128 << 10);
    // The images are compressed inside; gzip is in every reader.
    writer.set_compressor(FilesystemCompressor::new(Compressor::Gzip, None).map_err(failed)?);
    writer.set_time(0);
    writer.set_only_root_id();
    let header = NodeHeader { permissions: 0o444, ..NodeHeader::default() };
    writer.push_file(Cursor::new(content.root.to_vec()), "rootfs.img", header).map_err(failed)?;
    writer.push_file(Cursor::new(content.boot.to_vec()), "boot.vfat", header).map_err(failed)?;
    let mut out = Cursor::new(Vec::new());
    writer.write(&mut out).map_err(failed)?;
    let mut bytes = out.into_inner();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    Ok(bytes)
}

/// The tree over whole blocks, highest level first, and its root.
#[must_use]
pub fn tree(data: &[u8], salt: &[u8; 32]) -> (Vec<u8>, [u8; 32]) {
    let hash =
        |block: &[u8]| -> [u8; 32] { Sha256::new().chain_update(salt).chain_update(block).finalize().into() };
    let mut levels: Vec<Vec<u8>> = Vec::new();
    loop {
        let below = levels.last().map_or(data, Vec::as_slice);
        let mut level: Vec<u8> = below.chunks(BLOCK).flat_map(hash).collect();
        level.resize(level.len().next_multiple_of(BLOCK), 0);
        let top = level.len() == BLOCK;
        levels.push(level);
        if top {
            break;
        }
    }
    let root = levels.last().map_or([0; 32], |top| hash(top));
    levels.reverse();
    (levels.concat(), root)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
