//! OpenLDAP, with the attributes of eDirectory's schema that are read.
//!
//! It is no eDirectory: what is shown with it is that of LDAP, and of that schema.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::{
    ServerError,
    authority::{Authority, Identity},
    find,
    namespace::Namespace,
    office, run,
};

/// Where it is, in its namespace.
pub const ADDRESS: &str = "10.98.0.1";
/// Its name.
pub const HOST: &str = "ldap.acme.example";
/// The root of its tree.
pub const SUFFIX: &str = "o=acme";
/// Who reads.
pub const READER: &str = "cn=reader,o=acme";
/// Everybody's password.
pub const PASSWORD: &str = "secret-2026";
const ADMINISTRATOR: &str = "cn=admin,o=acme";
const PATIENCE: Duration = Duration::from_secs(60);

/// How it is set up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// With RFC 4533.
    pub syncprov: bool,
    /// Entries are marked by `modifyTimestamp` alone, as eDirectory's are.
    pub timestamps_only: bool,
    /// Further lines of the database's configuration.
    pub more: String,
}

/// A running OpenLDAP.
pub struct Slapd {
    child: Option<Child>,
    folder: TempDir,
    options: Options,
    /// Its network.
    pub namespace: Namespace,
    /// Who signed its certificate.
    pub authority: Authority,
}

impl Slapd {
    /// One with so many people, running.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(people: usize, options: Options) -> Result<Self, ServerError> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new(folder.path(), "authority")?;
        let identity = authority.server(&[HOST, ADDRESS], false)?;
        let namespace = Namespace::new(&[ADDRESS])?;
        namespace.etc("hosts", &format!("127.0.0.1 localhost\n{ADDRESS} {HOST}\n"))?;
        fs::create_dir_all(folder.path().join("db"))?;
        let mut started = Self { child: None, folder, options, namespace, authority };
        let configuration = started.configure(&identity)?;
        let mut add = std::process::Command::new(find("slapadd").unwrap_or_else(|| "slapadd".into()));
        add.args(["-q", "-f"]).arg(&configuration);
        run(add, &ldif(people))?;
        started.start_with(&identity)?;
        Ok(started)
    }

    /// Starts it, with this certificate.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start_with(&mut self, identity: &Identity) -> Result<(), ServerError> {
        self.stop();
        let configuration = self.configure(identity)?;
        let log = fs::File::create(self.folder.path().join("log"))?;
        let mut command = self.namespace.command("slapd");
        // A level keeps it in the foreground.
        command
            .args(["-d", "0", "-h", &format!("ldap://{ADDRESS} ldaps://{ADDRESS}"), "-f"])
            .arg(&configuration);
        self.child = Some(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?);
        if self.namespace.listens((ADDRESS, 636), PATIENCE)? {
            Ok(())
        } else {
            Err(ServerError::Deaf("slapd"))
        }
    }

    /// How a box follows it: a section `[[directory]]` without its name and its password.
    #[must_use]
    pub fn followed(&self) -> String {
        format!(
            "kind = \"ldap\"\nca = {:?}\nservers = [\"{ADDRESS}\"]\naccount = \"{READER}\"\nbase = \"{SUFFIX}\"\nattributes = {{ \
             name = \"fullName\", login = \"uid\", upn = \"mail\" }}\n",
            self.authority.file
        )
    }

    /// Starts it again, with the certificate that it had first.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn restart(&mut self) -> Result<(), ServerError> {
        let file = |name: &str| self.folder.path().join(name);
        self.start_with(&Identity { certificate: file("server.pem"), key: file("server.key") })
    }

    /// Starts it again with other lines in its database's configuration.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn restart_with(&mut self, more: &str) -> Result<(), ServerError> {
        self.options.more = more.into();
        self.restart()
    }

    /// The number of its process.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends it as its administrator does.
    pub fn stop(&mut self) {
        if let Some(child) = &self.child {
            // By its number, which it keeps until it is waited for.
            let _ = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).output();
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    /// Makes changes, written as LDIF, as the administrator.
    ///
    /// # Errors
    /// [`ServerError::Failed`].
    pub fn change(&self, ldif: &str) -> Result<(), ServerError> {
        let mut command = self.namespace.command("ldapmodify");
        // This way in is not what is tested.
        command.env("LDAPTLS_REQCERT", "never");
        command.args(["-x", "-H", &format!("ldaps://{ADDRESS}"), "-D", ADMINISTRATOR, "-w", PASSWORD]);
        run(command, ldif).map(drop)
    }

    fn configure(&self, identity: &Identity) -> Result<std::path::PathBuf, ServerError> {
        let folder = self.folder.path();
        let (at, options) = (folder.display(), &self.options);
        fs::write(folder.join("nds.schema"), include_str!("nds.schema"))?;
        // Five hundred entries are all that it gives otherwise, in all pages together.
        let limit = if options.more.contains("limit") { "" } else { "sizelimit unlimited\n" };
        let hidden = if options.timestamps_only { "access to attrs=entryCSN by * none\n" } else { "" };
        let overlay = if options.syncprov { "overlay syncprov\nsyncprov-sessionlog 10000\n" } else { "" };
        let module = if options.syncprov { "moduleload syncprov\n" } else { "" };
        let text = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\ninclude \
             /etc/ldap/schema/inetorgperson.schema\ninclude {at}/nds.schema\nmodulepath /usr/lib/ldap\nmoduleload \
             back_mdb\n{module}pidfile {at}/pid\nargsfile {at}/args\nTLSCACertificateFile {}\nTLSCertificateFile \
             {}\nTLSCertificateKeyFile {}\ndatabase mdb\nsuffix \"{SUFFIX}\"\nrootdn \"{ADMINISTRATOR}\"\nrootpw \
             {PASSWORD}\nmaxsize 1073741824\ndirectory {at}/db\nindex objectClass,entryUUID,entryCSN,GUID eq\nindex uid,cn \
             eq\n{limit}{hidden}access to attrs=userPassword by anonymous auth by * none\n{}\naccess to * by \
             dn.exact=\"{READER}\" read by * none\n{overlay}",
            self.authority.file.display(),
            identity.certificate.display(),
            identity.key.display(),
            options.more,
        );
        let file = folder.join("slapd.conf");
        fs::write(&file, text)?;
        Ok(file)
    }

    /// The folder of its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The office, and who reads it.
fn ldif(people: usize) -> String {
    let office =
        office(SUFFIX, people, person, dn, |name| format!("objectClass: groupOfNames\ncn: {name}\n"));
    format!(
        "dn: {SUFFIX}\nobjectClass: organization\no: acme\n\ndn: {READER}\nobjectClass: organizationalRole\nobjectClass: \
         simpleSecurityObject\ncn: reader\nuserPassword: {PASSWORD}\n\n{office}"
    )
}

/// Where a person lies.
#[must_use]
pub fn dn(number: usize) -> String {
    format!("cn=p{number:05},ou=people,{SUFFIX}")
}

/// A person, as LDIF that adds it.
#[must_use]
pub fn person(number: usize) -> String {
    // Sixteen octets that nobody else has, in Base64: `GUID` is binary.
    let guid = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        (0xa000_0000_0000_0000_0000_0000_0000_0000u128 + number as u128).to_be_bytes(),
    );
    format!(
        "dn: {}\nobjectClass: inetOrgPerson\nobjectClass: ndsLoginProperties\ncn: p{number:05}\nuid: p{number:05}\nmail: \
         p{number:05}@mit.example\nsn: {number:05}\nfullName: Person {number:05}\nGUID:: {guid}\nloginDisabled: FALSE\n\n",
        dn(number)
    )
}
