//! Everything for which a domain controller refuses an account, or the box a controller, each with its own message.

use authenteon::directory::{DirectoryError, Settings};
use authenteon_tests::servers::{
    authority::Authority,
    people,
    samba::{self, DOMAIN, Samba},
};

use crate::{
    active_directory::office,
    needs,
    office::{group, made, password, refusal, within},
};

#[test]
fn directory_a_certificate_that_is_not_trusted_or_over_ends_it_before_a_password_is_sent() {
    needs!(Samba);
    let mut samba = Samba::start(people()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let other = Authority::new(folder.path(), "other").unwrap();
    let settings = office(&samba, "reader");
    within(&samba.namespace, async || {
        let wrong = Settings { ca: other.file.clone(), ..settings.clone() };
        let DirectoryError::Certificate(why) = refusal(wrong).await else { panic!() };
        assert!(why.contains("authority"), "{why}");
        let none = Settings { ca: folder.path().join("none.pem"), ..settings.clone() };
        assert!(matches!(refusal(none).await, DirectoryError::Configuration(_)));
    });
    let over = samba.authority.server(&[samba::HOST, samba::ADDRESS], true).unwrap();
    samba.start_with(&over).unwrap();
    within(&samba.namespace, async || {
        assert!(matches!(refusal(settings.clone()).await, DirectoryError::Expired(_)));
    });
    let elsewhere = samba.authority.server(&["elsewhere.example"], false).unwrap();
    samba.start_with(&elsewhere).unwrap();
    within(&samba.namespace, async || {
        let DirectoryError::Certificate(why) = refusal(settings).await else { panic!() };
        assert!(why.contains("name"), "{why}");
    });
}

#[test]
fn directory_each_reason_not_to_let_the_account_in_has_its_message() {
    needs!(Samba);
    let samba = Samba::start(people()).unwrap();
    within(&samba.namespace, async || {
        let wrong = Settings { password: password("wrong"), ..office(&samba, "reader") };
        assert_eq!(refusal(wrong).await, DirectoryError::Credentials);
        assert_eq!(refusal(office(&samba, "nobody")).await, DirectoryError::Credentials);
        let none = Settings { password: password(""), ..office(&samba, "reader") };
        assert!(matches!(refusal(none).await, DirectoryError::Configuration(_)));
        let why = |error| match error {
            DirectoryError::Account(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(why(refusal(office(&samba, "disabled")).await).contains("disabled"));
        let change = why(refusal(office(&samba, "changer")).await);
        assert!(change.contains("password"), "{change}");
        let locked = Settings { password: password("wrong"), ..office(&samba, "locked") };
        for _ in 0..3 {
            assert_eq!(refusal(locked.clone()).await, DirectoryError::Credentials);
        }
        assert!(why(refusal(office(&samba, "locked")).await).contains("locked"));
        // One who is refused is not tried at another controller: it would be locked out in one cycle.
        let servers = vec![samba::ADDRESS.to_owned(); 5];
        let wrong = Settings { password: password("wrong"), servers, ..office(&samba, "follower") };
        assert_eq!(refusal(wrong).await, DirectoryError::Credentials);
        assert_eq!(made(office(&samba, "follower")).everybody().await.unwrap().len(), people());
    });
}

#[test]
fn directory_each_right_that_is_missing_is_named_with_the_command_that_gives_it() {
    needs!(Samba);
    let samba = Samba::start(people()).unwrap();
    within(&samba.namespace, async || {
        let all = Settings { replication_right: true, ..office(&samba, "reader") };
        let DirectoryError::Right(what) = refusal(all).await else { panic!() };
        assert!(what.contains("dsacls") && what.contains("samba-tool dsacl"), "{what}");

        let rights = made(office(&samba, "reader")).test().await.unwrap();
        assert_eq!((rights.method.as_str(), rights.deletions), ("dirsync-object-security", false));
        assert_eq!(rights.people, people());
        assert!(
            rights.advice.iter().any(|advice| advice.contains("CN=Deleted Objects")),
            "{:?}",
            rights.advice
        );

        let rights = Settings { replication_right: true, ..office(&samba, "follower") };
        let rights = made(rights).test().await.unwrap();
        assert_eq!((rights.method.as_str(), rights.deletions), ("dirsync", true));
        assert_eq!(rights.advice, [""; 0]);

        let missing = format!("CN=nobody,OU=Groups,{DOMAIN}");
        let grouped = |mut settings: Settings| {
            settings.groups.insert(missing.clone(), group("nobody"));
            settings
        };
        assert_eq!(
            refusal(grouped(office(&samba, "reader"))).await,
            DirectoryError::Missing(missing.clone())
        );
        let rights = made(grouped(office(&samba, "reader"))).test().await.unwrap();
        assert!(rights.advice.iter().any(|advice| advice.contains("CN=nobody")), "{:?}", rights.advice);
        let nowhere = Settings { base: Some(format!("OU=Nowhere,{DOMAIN}")), ..office(&samba, "reader") };
        assert!(matches!(refusal(nowhere).await, DirectoryError::Missing(_)));
    });
}

/// Nobody's `userAccountControl` can be read: who may log in is not known, so nobody is taken, and all stay as they are.
#[test]
fn directory_people_of_whom_it_cannot_be_read_whether_they_may_log_in_are_left_alone() {
    needs!(Samba);
    let mut samba = Samba::start(people()).unwrap();
    samba.stop();
    samba.python(HIDE).unwrap();
    samba.restart().unwrap();
    within(&samba.namespace, async || {
        let mut source = made(office(&samba, "reader"));
        let reading = source.read(None).await.unwrap();
        assert_eq!((reading.entries.len(), reading.unusable.len()), (0, people()));
        assert!(reading.unusable.iter().all(|(id, why)| id.is_some() && why.contains("userAccountControl")));
        let rights = source.test().await.unwrap();
        assert!(
            rights.advice.iter().any(|advice| advice.contains("RP;userAccountControl;user")),
            "{:?}",
            rights.advice
        );
    });
}

const HIDE: &str = r#"
found = samdb.search(expression="(sAMAccountName=reader)", attrs=["objectSid"])
sid = ndr_unpack(security.dom_sid, found[0]["objectSid"][0])
dn = "OU=People," + str(samdb.domain_dn())
for who in [dn] + [str(m.dn) for m in samdb.search(dn, scope=ldb.SCOPE_ONELEVEL, attrs=[])]:
    found = samdb.search(who, scope=ldb.SCOPE_BASE, attrs=["nTSecurityDescriptor"], controls=["sd_flags:1:4"])
    text = ndr_unpack(security.descriptor, found[0]["nTSecurityDescriptor"][0]).as_sddl(domain_sid)
    at = text.index("(", text.index("D:"))
    # userAccountControl
    ace = f"(OD;;RP;bf967a68-0de6-11d0-a285-00aa003049e2;;{sid})"
    changed = security.descriptor.from_sddl(text[:at] + ace + text[at:], domain_sid)
    message = ldb.Message(ldb.Dn(samdb, who))
    message["nTSecurityDescriptor"] = ldb.MessageElement(ndr_pack(changed), ldb.FLAG_MOD_REPLACE, "nTSecurityDescriptor")
    samdb.modify(message, controls=["sd_flags:1:4"])
"#;
