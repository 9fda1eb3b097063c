//! Plans against a directory that is a map: what they come to, and the laws that they keep.

use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::directory::{Cursor, Identifier, Standing};

const DAY: u64 = 86_400_000;

fn moment() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

fn source(name: &str) -> SourceName {
    SourceName::try_from(name.to_owned()).unwrap()
}

fn object(number: u8) -> ObjectId {
    ObjectId::of_octets(Uuid::from_u128(number.into()).as_bytes()).unwrap()
}

fn entry(number: u8, login: &str, standing: Standing) -> Entry {
    Entry {
        id: object(number),
        dn: format!("CN={login}"),
        name: Some(format!("{login} of all")),
        login: Some(login.to_owned()),
        upn: Some(format!("{login}@corp.example")),
        sid: None,
        groups: BTreeSet::new(),
        standing,
        locked_out: false,
        privileged: false,
    }
}

fn active(number: u8, login: &str) -> Entry {
    entry(number, login, Standing::Active)
}

fn reading(whole: bool, entries: Vec<Entry>, gone: &[u8]) -> Reading {
    let gone = gone.iter().map(|number| object(*number)).collect();
    Reading { whole, entries, gone, unusable: Vec::new(), shut: BTreeSet::new(), cursor: Cursor(Value::Null) }
}

fn whole(entries: Vec<Entry>) -> Reading {
    reading(true, entries, &[])
}

/// Everybody after the plan was done.
fn done(mut roll: Roll, of: &SourceName, plan: &Plan, now: Timestamp) -> Roll {
    for act in &plan.acts {
        match act.clone() {
            Act::Create { object, person } => {
                let link = Link { source: of.clone(), object, state: State::Active, since: now };
                let twin =
                    roll.followed.iter().any(|known| (&known.link.source, known.link.object) == (of, object));
                assert!(!twin, "nobody is made twice");
                roll.followed.push(Known { subject: SubjectId::random(), link, person });
            }
            Act::Update { subject, link, person, .. } => {
                let known = roll.followed.iter_mut().find(|known| known.subject == subject).unwrap();
                assert_eq!((&known.link.source, known.link.object), (&link.source, link.object));
                (known.link, known.person) = (link, person);
            }
            Act::Erase { subject, .. } => {
                let before = roll.followed.len();
                roll.followed.retain(|known| known.subject != subject);
                assert_eq!(roll.followed.len() + 1, before);
            }
        }
    }
    roll
}

fn planned(roll: &Roll, reading: &Reading) -> Plan {
    plan(&source("corp"), roll, reading, &Rules::default(), moment())
}

fn after(roll: &Roll, reading: &Reading) -> Roll {
    done(roll.clone(), &source("corp"), &planned(roll, reading), moment())
}

fn one(roll: &Roll, number: u8) -> &Known {
    roll.followed.iter().find(|known| known.link.object == object(number)).unwrap()
}

fn changes(plan: &Plan) -> Vec<Vec<Changed>> {
    let changed = |act: &Act| match act {
        Act::Update { changed, .. } => changed.iter().copied().collect(),
        Act::Create { .. } | Act::Erase { .. } => Vec::new(),
    };
    plan.acts.iter().map(changed).collect()
}

#[test]
fn who_is_new_is_made_and_who_may_not_log_in_is_made_once_he_may() {
    let first = whole(vec![active(1, "ada"), entry(2, "bob", Standing::Disabled)]);
    let roll = after(&Roll::default(), &first);
    assert_eq!(roll.followed.len(), 1);
    let ada = one(&roll, 1);
    assert_eq!((ada.person.name.as_ref(), ada.link.state), ("ada of all", State::Active));
    let roll = after(&roll, &reading(false, vec![active(2, "bob")], &[]));
    assert_eq!(one(&roll, 2).person.account.holds(Identifier::Login), Some("bob"));
}

#[test]
fn a_rename_a_move_and_other_groups_are_of_the_same_person() {
    let roll = after(&Roll::default(), &whole(vec![active(1, "ada")]));
    let mut moved = active(1, "lovelace");
    moved.dn = "CN=lovelace,OU=elsewhere".to_owned();
    moved.groups.insert(GroupName::try_from("night".to_owned()).unwrap());
    let plan = planned(&roll, &reading(false, vec![moved], &[]));
    assert_eq!(changes(&plan), [[Changed::Name, Changed::Login, Changed::Upn, Changed::Groups]]);
    let renamed = done(roll.clone(), &source("corp"), &plan, moment());
    assert_eq!(one(&renamed, 1).subject, one(&roll, 1).subject);
    let mut elsewhere = active(1, "ada");
    elsewhere.dn = "CN=ada,OU=elsewhere".to_owned();
    assert!(
        planned(&roll, &whole(vec![elsewhere])).acts.is_empty(),
        "where somebody lies changes nothing here"
    );
}

#[test]
fn who_is_disabled_expires_goes_and_comes_back_is_the_same_all_the_way() {
    let mut roll = after(&Roll::default(), &whole(vec![active(1, "ada")]));
    let subject = one(&roll, 1).subject;
    for (reading, expected, state) in [
        (
            reading(false, vec![entry(1, "ada", Standing::Disabled)], &[]),
            vec![Changed::Disabled],
            State::Disabled,
        ),
        (reading(false, vec![active(1, "ada")], &[]), vec![Changed::Enabled], State::Active),
        (
            reading(false, vec![entry(1, "ada", Standing::Expired)], &[]),
            vec![Changed::Expired],
            State::Expired,
        ),
        (reading(false, vec![], &[1]), vec![Changed::Withheld, Changed::Gone], State::Gone),
        (whole(vec![active(1, "ada")]), vec![Changed::Withheld, Changed::Returned], State::Active),
    ] {
        let plan = planned(&roll, &reading);
        assert_eq!(changes(&plan), [expected]);
        roll = done(roll, &source("corp"), &plan, moment());
        assert_eq!((one(&roll, 1).subject, one(&roll, 1).link.state), (subject, state));
    }
    assert_eq!(one(&roll, 1).person.account.holds(Identifier::Upn), Some("ada@corp.example"));
}

#[test]
fn what_is_kept_of_who_may_not_log_in_is_erased_after_its_time_and_not_before() {
    let both = whole(vec![active(1, "ada"), active(2, "bob"), active(3, "eve")]);
    let later = whole(vec![active(3, "eve"), entry(1, "ada", Standing::Disabled)]);
    let roll = after(&after(&Roll::default(), &both), &later);
    let at = |days: u64, reading: &Reading| {
        plan(
            &source("corp"),
            &roll,
            reading,
            &Rules::default(),
            Timestamp::from_millis(moment().millis() + days * DAY),
        )
    };
    let nothing = reading(false, vec![], &[]);
    assert!(at(29, &nothing).acts.is_empty());
    let erased = |plan: &Plan| {
        plan.acts
            .iter()
            .map(|act| match act {
                Act::Erase { link, .. } => link.object,
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(erased(&at(30, &nothing)), [object(2)], "who is gone");
    let late = at(90, &nothing);
    assert_eq!(erased(&late), [object(1), object(2)], "who is disabled, too");
    let rest = done(roll.clone(), &source("corp"), &late, moment());
    assert!(planned(&rest, &later).acts.is_empty(), "and he is not made anew while he is disabled");
    let early = Timestamp::from_millis(moment().millis() - 400 * DAY);
    assert!(
        plan(&source("corp"), &roll, &nothing, &Rules::default(), early).acts.is_empty(),
        "a clock set back"
    );
    let for_ever = Rules { keep_disabled: None, keep_gone: None, ..Rules::default() };
    let late = Timestamp::from_millis(moment().millis() + 4000 * DAY);
    assert!(plan(&source("corp"), &roll, &nothing, &for_ever, late).acts.is_empty());
}

#[test]
fn more_than_a_share_waits_for_somebody_who_confirms_just_that() {
    let names: Vec<String> = (0..40).map(|number| format!("p{number}")).collect();
    let all: Vec<Entry> = names.iter().zip(1..).map(|(name, number)| active(number, name)).collect();
    let roll = after(&Roll::default(), &whole(all.clone()));
    let some = planned(&roll, &whole(all[8..].to_vec()));
    assert_eq!((some.held.as_ref(), some.harm.gone, some.harm.of), (None, 8, 40), "20 of 100 may be");
    let more = planned(&roll, &whole(all[9..].to_vec()));
    let others = planned(&roll, &whole(all[..31].to_vec()));
    let disabled = (1..10).map(|number| entry(number, &names[usize::from(number) - 1], Standing::Disabled));
    let otherwise = planned(&roll, &reading(false, disabled.collect(), &[]));
    let held: Vec<_> = [&more, &others, &otherwise].iter().map(|plan| plan.held.clone().unwrap()).collect();
    assert_eq!(held[0].0.len(), 16);
    assert!(held[0] != held[1] && held[0] != held[2], "{held:?}");
    assert_eq!(planned(&roll, &whole(all[9..].to_vec())).held.as_ref(), Some(&held[0]));
    // A few may always go, of a small office too; but not everybody at once because nobody is found.
    let few = after(&Roll::default(), &whole(all[..6].to_vec()));
    assert_eq!(planned(&few, &whole(all[..1].to_vec())).held, None);
    assert!(planned(&few, &whole(vec![])).held.is_some());
    let pair = after(&Roll::default(), &whole(all[..2].to_vec()));
    assert!(planned(&pair, &reading(false, vec![], &[1, 2])).held.is_some(), "nor by a word about each");
    assert_eq!(planned(&pair, &reading(false, vec![], &[2])).held, None);
    assert_eq!(planned(&Roll::default(), &whole(all)).held, None, "who is new harms nobody");
}

#[test]
fn what_cannot_be_taken_is_left_as_it_is_and_said_without_a_name() {
    let roll = after(&Roll::default(), &whole(vec![active(1, "ada"), active(2, "bob")]));
    let nameless = Entry { name: Some("\u{1}".to_owned()), login: None, upn: None, ..active(1, "ada") };
    let long = Entry { login: Some("x".repeat(5_000_000)), ..active(2, "bob") };
    let mut read = whole(vec![nameless, long]);
    read.unusable.push((Some(object(9)), "its identifier is malformed".to_owned()));
    let plan = planned(&roll, &read);
    assert_eq!((plan.acts.len(), plan.unusable.len()), (0, 3));
    assert!(!format!("{:?}", plan.unusable).contains("bob"));
    // But whoever may not log in is refused, whatever he wrote into his entry.
    let mut read =
        whole(vec![entry(1, &"x".repeat(5_000_000), Standing::Disabled), active(2, "bob"), active(3, "eve")]);
    let plan = planned(&roll, &read);
    assert_eq!((plan.harm.disabled, plan.unusable.len()), (1, 1));
    read.entries.remove(0);
    read.unusable.push((Some(object(1)), "its name is too long".to_owned()));
    assert_eq!(planned(&roll, &read).harm.disabled, 0);
    read.shut.insert(object(1));
    assert_eq!(planned(&roll, &read).harm.disabled, 1);
    // Of whom it cannot be said who he is, he may be the one who is missing.
    let mut read = whole(vec![active(1, "ada")]);
    assert_eq!(planned(&roll, &read).harm.gone, 1);
    read.unusable.push((None, "its identifier is malformed".to_owned()));
    assert!(planned(&roll, &read).acts.is_empty());
    let named = Entry { name: Some(format!(" {}\n", "n".repeat(400))), ..active(3, "eve") };
    let roll = after(&Roll::default(), &whole(vec![named, Entry { name: None, ..active(4, "kim") }]));
    assert_eq!(one(&roll, 3).person.name.as_ref().len(), 128);
    assert_eq!(one(&roll, 4).person.name.as_ref(), "kim");
}

#[test]
fn who_comes_second_with_a_login_has_it_withheld_until_it_is_free_whichever_directory_he_is_in() {
    let (corp, other) = (source("corp"), source("other"));
    let rules = Rules::default();
    let mut roll = after(&Roll::default(), &whole(vec![active(1, "ada")]));
    let came = plan(&other, &roll, &whole(vec![active(7, "Ada")]), &rules, moment());
    assert_eq!(came.collisions.len(), 2, "{:?}", came.collisions);
    let Collision::Identifier { holder: Some(holder), withheld, .. } = &came.collisions[0] else { panic!() };
    assert_eq!((&holder.source, withheld[0].object), (&corp, object(7)));
    roll = done(roll, &other, &came, moment());
    assert_ne!(one(&roll, 1).subject, one(&roll, 7).subject, "they are two");
    let held =
        |roll: &Roll, number| one(roll, number).person.account.holds(Identifier::Login).map(str::to_owned);
    assert_eq!((held(&roll, 1).as_deref(), held(&roll, 7)), (Some("ada"), None));
    // The first takes another name: the second one's is free, though nothing was read of him.
    let plan = plan(&corp, &roll, &reading(false, vec![active(1, "lovelace")], &[]), &rules, moment());
    assert!(plan.collisions.is_empty());
    roll = done(roll, &corp, &plan, moment());
    assert_eq!((held(&roll, 1).as_deref(), held(&roll, 7).as_deref()), (Some("lovelace"), Some("Ada")));
}

#[test]
fn two_who_come_at_once_with_one_name_hold_it_neither_and_a_successor_gets_it() {
    let mut roll = after(&Roll::default(), &whole(vec![active(1, "ada"), active(2, "ada")]));
    for number in [1, 2] {
        assert_eq!(one(&roll, number).person.account.holds(Identifier::Login), None);
    }
    // The account was deleted and made anew.
    roll = after(&roll, &reading(false, vec![active(3, "ada")], &[1, 2]));
    assert_eq!(one(&roll, 3).person.account.holds(Identifier::Login), Some("ada"));
    roll = after(&roll, &reading(false, vec![active(1, "ada")], &[]));
    assert_eq!(
        one(&roll, 3).person.account.holds(Identifier::Login),
        Some("ada"),
        "who comes back comes second"
    );
    assert_eq!(one(&roll, 1).person.account.holds(Identifier::Login), None);
}

#[test]
fn a_local_subject_of_the_same_name_stays_another_and_is_named() {
    let local = SubjectId::random();
    let roll = Roll {
        followed: Vec::new(),
        local: vec![(local, SubjectName::try_from("ADA of all".to_owned()).unwrap())],
    };
    let plan = planned(&roll, &whole(vec![active(1, "ada")]));
    assert!(matches!(plan.acts[..], [Act::Create { .. }]), "{:?}", plan.acts);
    let person = Claimant { source: source("corp"), object: object(1) };
    assert_eq!(plan.collisions, [Collision::Name { subject: local, person }]);
}

/// A directory at a moment: of each person login and standing.
type Tree = BTreeMap<u8, (u8, Standing)>;

fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![4 => Just(Standing::Active), 1 => Just(Standing::Disabled), 1 => Just(Standing::Expired)]
}

fn tree() -> impl Strategy<Value = Tree> {
    prop::collection::btree_map(0..12_u8, (0..8_u8, standing()), 0..12)
}

fn entries(tree: &Tree) -> Vec<Entry> {
    tree.iter().map(|(number, (login, standing))| entry(*number, &format!("l{login}"), *standing)).collect()
}

/// What has changed from one moment to the next.
fn increment(before: &Tree, now: &Tree) -> Reading {
    let changed = now.iter().filter(|(number, of)| before.get(number) != Some(of));
    let entries = entries(&changed.map(|(number, of)| (*number, *of)).collect());
    let gone: Vec<u8> = before.keys().filter(|number| !now.contains_key(number)).copied().collect();
    reading(false, entries, &gone)
}

/// Who may log in, and what is known of him but for what is withheld, which depends on who came first.
fn admitted(roll: &Roll) -> BTreeMap<ObjectId, Person> {
    let active = roll.followed.iter().filter(|known| known.link.state == State::Active);
    active
        .map(|known| {
            let mut person = known.person.clone();
            person.account.withheld.clear();
            (known.link.object, person)
        })
        .collect()
}

fn held_once(roll: &Roll) {
    for which in Identifier::ALL {
        let mut held = BTreeSet::new();
        for known in &roll.followed {
            if let Some(value) = known.person.account.holds(which) {
                assert!(held.insert(value.to_lowercase()), "{value} is held twice");
            }
        }
    }
}

proptest! {
    #[test]
    fn a_reading_that_was_done_leaves_nothing_to_do(before in tree(), now in tree(), is_whole: bool) {
        let roll = after(&Roll::default(), &whole(entries(&before)));
        let read = if is_whole { whole(entries(&now)) } else { increment(&before, &now) };
        let once = after(&roll, &read);
        let again = planned(&once, &read);
        prop_assert_eq!(again.acts, []);
        prop_assert_eq!(again.harm.all(), 0);
        held_once(&once);
    }

    #[test]
    fn the_order_of_a_reading_does_not_matter(before in tree(), now in tree(), turn in 0..12_usize) {
        let roll = after(&Roll::default(), &whole(entries(&before)));
        let one = entries(&now);
        let mut other = one.clone();
        other.reverse();
        let by = if other.is_empty() { 0 } else { turn % other.len() };
        other.rotate_left(by);
        let mut turned = roll.clone();
        turned.followed.reverse();
        prop_assert_eq!(planned(&roll, &whole(one)), planned(&turned, &whole(other)));
    }

    #[test]
    fn increments_come_to_what_a_whole_reading_does(moments in prop::collection::vec(tree(), 1..5)) {
        let mut by_steps = Roll::default();
        let mut before = Tree::new();
        for now in &moments {
            by_steps = after(&by_steps, &increment(&before, now));
            held_once(&by_steps);
            before.clone_from(now);
        }
        let at_once = after(&Roll::default(), &whole(entries(&before)));
        prop_assert_eq!(admitted(&by_steps), admitted(&at_once));
        // A whole reading then finds what increments did not tell, which is nothing.
        let swept = after(&by_steps, &whole(entries(&before)));
        prop_assert_eq!(swept, by_steps);
    }

    #[test]
    fn nobody_of_another_directory_is_touched_but_in_what_he_may_be_called(
        mine in tree(), theirs in tree(), now in tree(),
    ) {
        let other = source("other");
        let first = plan(&other, &Roll::default(), &whole(entries(&theirs)), &Rules::default(), moment());
        let roll = after(&done(Roll::default(), &other, &first, moment()), &whole(entries(&mine)));
        let of_other = |roll: &Roll| -> Vec<(SubjectId, Link, SubjectName, Option<String>)> {
            let known = roll.followed.iter().filter(|known| known.link.source == other);
            known
                .map(|k| (k.subject, k.link.clone(), k.person.name.clone(), k.person.account.login.clone()))
                .collect()
        };
        let later = after(&roll, &whole(entries(&now)));
        prop_assert_eq!(of_other(&roll), of_other(&later));
        held_once(&later);
    }

    #[test]
    fn what_is_not_held_harms_few_or_a_small_share(before in tree(), now in tree()) {
        let roll = after(&Roll::default(), &whole(entries(&before)));
        let plan = planned(&roll, &whole(entries(&now)));
        let (all, of) = (plan.harm.all(), plan.harm.of);
        prop_assert!(plan.held.is_some() || all <= 5 || all * 100 <= 20 * of);
    }
}
