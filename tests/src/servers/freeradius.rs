//! FreeRADIUS as a proxy before the box, as a large network has one; and its client, which asks as a switch or a VPN does.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{ServerError, authority::Identity, namespace::Namespace};

/// A first answer takes no longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the proxy asks the box.
#[derive(Clone, Copy, Debug)]
pub enum Behind<'a> {
    /// Over UDP at this address, with this secret.
    Udp(&'a str, &'a str),
    /// Over TLS at this address, with this certificate; the authority is the box's.
    Tls(&'a str, &'a Identity, &'a Path),
}

/// A running proxy.
pub struct Proxy {
    child: Child,
    folder: TempDir,
}

impl Proxy {
    /// One that listens at `address` and asks from there; whoever asks it, from anywhere, has the same secret.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(
        network: &Namespace,
        address: &str,
        secret: &str,
        behind: Behind<'_>,
    ) -> Result<Self, ServerError> {
        let folder = tempfile::tempdir()?;
        let at = folder.path();
        fs::write(at.join("radiusd.conf"), configuration(at, address, secret, behind))?;
        fs::write(at.join("dictionary"), "")?;
        let log = fs::File::create(at.join("log"))?;
        let mut command = network.command("freeradius");
        command.args(["-f", "-l", "stdout", "-n", "radiusd", "-d"]).arg(at);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let started = Self { child, folder };
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if started.said().contains("Ready to process requests") {
                return Ok(started);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(ServerError::Failed("freeradius".into(), started.said()))
    }

    /// What it said.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(folder: &Path, address: &str, secret: &str, behind: Behind<'_>) -> String {
    let at = folder.display();
    let server = match behind {
        Behind::Udp(ip, shared) => {
            format!("ipaddr = {ip}\n port = 1812\n secret = \"{shared}\"\n src_ipaddr = {address}")
        }
        Behind::Tls(ip, identity, authority) => format!(
            "ipaddr = {ip}\n port = 2083\n proto = tcp\n secret = radsec\n src_ipaddr = {address}\n tls {{\n  \
             private_key_file = {}\n  certificate_file = {}\n  ca_file = {}\n  tls_min_version = \"1.2\"\n  \
             tls_max_version = \"1.3\"\n }}",
            identity.key.display(),
            identity.certificate.display(),
            authority.display(),
        ),
    };
    format!(
        "prefix = /usr\nlibdir = /usr/lib/freeradius\nlogdir = {at}\nraddbdir = {at}\nconfdir = {at}\nrun_dir = \
         {at}\nname = radiusd\npidfile = {at}/pid\nmax_request_time = 60\ncleanup_delay = 5\nmax_requests = \
         1024\nhostname_lookups = no\nlog {{\n destination = stdout\n}}\nsecurity {{\n max_attributes = 200\n \
         reject_delay = 0\n status_server = yes\n}}\nproxy_requests = yes\nproxy server {{\n default_fallback = \
         no\n}}\nhome_server box {{\n type = auth\n {server}\n response_window = 20\n zombie_period = 40\n \
         status_check = status-server\n check_interval = 6\n num_answers_to_alive = 3\n}}\nhome_server_pool box {{\n \
         type = fail-over\n home_server = box\n}}\nrealm box {{\n auth_pool = box\n nostrip\n}}\nclient all {{\n ipaddr \
         = 0.0.0.0/0\n secret = \"{secret}\"\n}}\nthread pool {{\n start_servers = 2\n max_servers = 4\n \
         min_spare_servers = 1\n max_spare_servers = 3\n max_requests_per_server = 0\n}}\nmodules {{\n}}\nserver default \
         {{\n listen {{\n  type = auth\n  ipaddr = {address}\n  port = 1812\n }}\n authorize {{\n  update control {{\n   \
         &Proxy-To-Realm := \"box\"\n  }}\n }}\n authenticate {{\n }}\n pre-proxy {{\n }}\n post-proxy {{\n }}\n}}\n"
    )
}
