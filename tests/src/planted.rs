//! What people may have among their items that these functions can't read: damaged, gone from the archive, or written by a later
//! version, which knows kinds of its own. It stops nothing else, and stays as it is.

use serde_json::{Value, json};
use shared::store::table::Key;
use shared::store::work::Listing;
use wire::{ConversationId, Kind, Time, UserId, direct_id};

use crate::engine::typed_map;

/// Things that can't be read, of one user.
#[derive(Clone, Debug)]
pub struct Planted {
    /// The items, as `DynamoDB` writes them.
    pub items: Vec<Value>,
    /// Conversations of which an inbox, META or the archive can't be read.
    pub unreadable: Vec<ConversationId>,
    /// Of these, those whose inbox can be read, and marked.
    pub with_inbox: Vec<ConversationId>,
    /// Of these, those that a list can't show: all but the one whose archive is damaged.
    pub unlisted: usize,
    /// Lines of the ledger.
    pub lines: usize,
    /// Messages that wait at first, by the inboxes that can be read.
    pub waiting: u64,
}

/// How long ago all of it was written: so long that everything about it is due.
const AGE_MS: i64 = 60 * 24 * 3_600 * 1_000;

impl Planted {
    /// Of this user, at this moment.
    pub fn of(user: &UserId, now: Time) -> Self {
        let at = Time { ms: now.ms - AGE_MS };
        let strangers =
            ["stranger", "ghost"].map(|name| format!("{name} of {user}").parse::<UserId>().expect("a name"));
        let [channel, damaged] = [format!("channel-{user}"), format!("damaged-{user}")];
        let [channel, damaged]: [ConversationId; 2] = [channel, damaged].map(|id| id.parse().expect("an id"));
        let [renewed, lost] = strangers.clone().map(|other| direct_id(user, &other));
        let mut planted = Self {
            items: Vec::new(),
            unreadable: vec![channel.clone(), damaged.clone(), renewed.clone(), lost.clone()],
            with_inbox: vec![renewed.clone(), lost.clone()],
            unlisted: 3,
            lines: 2,
            waiting: 3 + 5,
        };
        let inbox = |kind: &str, peer: &UserId, last: u64| json!({ "kind": kind, "peer": peer, "last_seq": last, "delivered_seq": 0, "read_seq": 0, "last_at": at.ms });
        // A kind of conversation that this version doesn't know; one whose INBOX is damaged.
        for (id, attributes) in [
            (&channel, inbox("channel", &strangers[0], 7)),
            (&damaged, json!({ "kind": Kind::Direct, "last_seq": "seven", "last_at": at.ms })),
        ] {
            planted.add(Key::inbox(user, id), attributes, Some(Listing::waiting(at, user, id)));
        }
        // A direct one that a later version has made another kind of; one that has lost its object.
        planted.meta(&renewed, json!("channel"), [user, &strangers[0]], (1, at));
        planted.meta(&lost, json!(Kind::Direct), [user, &strangers[1]], (5, at));
        // Their inboxes can be read: a sweep would list them anew.
        for (id, peer, last) in [(&renewed, &strangers[0], 3), (&lost, &strangers[1], 5)] {
            planted.add(Key::inbox(user, id), inbox("direct", peer, last), None);
        }
        let segment = Key::segment(&lost, wire::Seq(1));
        planted.add(segment, json!({ "last": 4, "object": format!("segments/{lost}/gone") }), None);
        // Lines of the ledger, of which nobody knows what they add.
        for (id, attributes) in [
            ("prize#1", json!({ "kind": "prize", "amount": 5, "created_at": at.ms })),
            ("earn#1", json!({ "kind": "earning", "amount": "five", "created_at": at.ms })),
        ] {
            let key = Key::entry(user, at, id);
            let listing = Listing::unsettled(user, &key.sk);
            planted.add(key, attributes, Some(listing));
        }
        // What a stranger's account, presence and settings have become, and what is nobody's: each is due.
        let [stranger, _] = &strangers;
        let text = || json!({ "open": "many", "connections": "many", "price": "much" });
        planted.add(Key::account(stranger), text(), Some(Listing::open(at, stranger)));
        planted.add(Key::presence(stranger), text(), Some(Listing::online(at, stranger)));
        planted.add(Key::profile(stranger), text(), None);
        let team = |n: u8| Key { pk: format!("TEAM#{user}"), sk: format!("MEMBER#{n}") };
        let listings = [
            Listing::open(at, user),
            Listing::online(at, user),
            Listing::unsettled(user, "MEMBER"),
            Listing::waiting(at, user, &channel),
            Listing::archive(at, &channel),
            Listing::member(at, user, &channel),
        ];
        for (n, listing) in (0..).zip(listings) {
            planted.add(team(n), json!({ "name": "a team" }), Some(listing));
        }
        planted
    }

    fn meta(&mut self, id: &ConversationId, kind: Value, members: [&UserId; 2], (first_seq, at): (u64, Time)) {
        let attributes = json!({
            "id": id, "kind": kind, "members": members, "created_by": members[0], "created_at": at.ms,
            "creation": "long ago", "first_seq": first_seq, "deleted_below": first_seq, "moved_at": at.ms,
        });
        // Readable is only the one whose object is gone, and that one rests.
        let rests = first_seq > 1;
        let attributes = if rests { with(attributes, "idle", json!(true)) } else { attributes };
        self.add(Key::meta(id), attributes, (!rests).then(|| Listing::archive(at, id)));
    }

    fn add(&mut self, key: Key, mut attributes: Value, listing: Option<Listing>) {
        attributes = with(with(attributes, "pk", key.pk.into()), "sk", key.sk.into());
        if let Some(Listing { pk, sk }) = listing {
            attributes = with(with(attributes, "work_pk", pk.into()), "work_sk", sk.into());
        }
        self.items.push(typed_map(&attributes));
    }

    /// Whether an item of these stays as it is: nobody can read it.
    pub(crate) fn stays(&self, sk: &str) -> bool {
        !self.with_inbox.iter().any(|id| sk.strip_prefix("INBOX#") == Some(id.as_str()))
    }

    /// An item of these, by its key.
    pub(crate) fn item(&self, pk: &Value, sk: &Value) -> Option<&Value> {
        self.items.iter().find(|item| item["pk"]["S"] == *pk && item["sk"]["S"] == *sk)
    }
}

fn with(mut attributes: Value, name: &str, value: Value) -> Value {
    attributes[name] = value;
    attributes
}
