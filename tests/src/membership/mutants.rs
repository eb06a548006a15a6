//! What the model is without one of its guards, or with two steps in another order. Each must be caught.

use clap::ValueEnum;

/// One guard or order less. Those at the end change nothing that a check sees: see [`Mutant::harmless`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
#[expect(missing_docs, reason = "the words are in `about`, where the program shows them, too")]
pub enum Mutant {
    MemberPutAnyVersion,
    RequestForgotten,
    AddOfMemberForgotten,
    RemoveOfOutsiderForgotten,
    TombstoneDeleted,
    AddUnlisted,
    UnlistAnyVersion,
    UnlistFirst,
    InboxPutAnyVersion,
    InboxPutResets,
    InboxDeleted,
    TellBeforeInbox,
    TellingWithoutVersion,
    KnownVersionUnread,
    HintForgotten,
    ViewBeforeMember,
    ViewWithoutMember,
    FirstSeqOne,
    TailBeforeMember,
    TailKept,
    SyncMemberFirst,
    SyncBelowFirstSeq,
    PageMemberFirst,
    PageBelowFirstSeq,
    SenderUnasked,
    ResumeAsksMember,
    RefusedByFirstLook,
    ReceiversAtLook,
    ReceiversBeforeTail,
    PushBeforeTail,
    PushBelowFirstSeq,
    ReceiptBeforeTail,
    ReceiptBeforePush,
    MarkAnyInbox,
    CreateTrustsMeta,
    CreateOverwrites,
    WholeBeforeMembers,
    AnsweredBeforeWhole,
    ToldBeforeWhole,
    SweepTellsEarly,
    CleanupOfWhole,
    CleanupDeletesMeta,
    ChangeOfPart,
    CountWithoutRoster,
    CountLeavesRoster,
    CountBeforeRoster,
    CountedOnce,
    CountAdded,
    EqualCountUnwritten,
    NobodyPromoted,
    PromotedAtOnce,
    PromotedAnyVersion,
    PromotedUncounted,
    CallerUnasked,
    RenameWithoutRoster,
    RenameLeavesRoster,
    RenameNotRemembered,
    PresenceFirst,
}

impl Mutant {
    /// All, as `--mutants` tries them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// What is different, in words.
    pub fn about(self) -> &'static str {
        match self {
            Self::MemberPutAnyVersion => "the put of MEMBER doesn't ask for the version that was read",
            Self::RequestForgotten => "MEMBER doesn't remember the requests that changed it",
            Self::AddOfMemberForgotten => "an add of who is in already is answered, and not remembered",
            Self::RemoveOfOutsiderForgotten => "a removal of who is out already is answered, and not remembered",
            Self::TombstoneDeleted => "MEMBER is deleted when somebody goes",
            Self::AddUnlisted => "the put of MEMBER doesn't list it in the index of what is due",
            Self::UnlistAnyVersion => "MEMBER leaves the index without asking for the version whose effects were done",
            Self::UnlistFirst => "MEMBER leaves the index before its effects are done",
            Self::InboxPutAnyVersion => "the put of INBOX doesn't ask that it has an older version",
            Self::InboxPutResets => "the put of INBOX resets the horizons of the same membership, too",
            Self::InboxDeleted => "the effect of a removal deletes the INBOX",
            Self::TellBeforeInbox => "PRESENCE is read, and somebody told, before the INBOX is put",
            Self::TellingWithoutVersion => "what a device is told has no version: the last to arrive wins",
            Self::KnownVersionUnread => "a device that knows the version it is told of reads nothing",
            Self::HintForgotten => "a hint that comes while a device syncs is forgotten",
            Self::ViewBeforeMember => "the new member's view was read before MEMBER was put",
            Self::ViewWithoutMember => "MEMBER isn't read again after the new member's view",
            Self::FirstSeqOne => "who joins may see everything",
            Self::TailBeforeMember => "the log's tail is read before the MEMBER whose version the put asks for",
            Self::TailKept => "a refused add reads MEMBER again, but not the log's tail",
            Self::SyncMemberFirst => "`sync` reads MEMBER before the messages",
            Self::SyncBelowFirstSeq => "`sync` shows what is below `first_seq`",
            Self::PageMemberFirst => "a page reads MEMBER before the messages",
            Self::PageBelowFirstSeq => "a page shows what is below `first_seq`",
            Self::SenderUnasked => "a send doesn't ask whether its sender is in",
            Self::ResumeAsksMember => "a send that is open is refused when its sender is out",
            Self::RefusedByFirstLook => "a send is refused without reading ACCOUNT again after MEMBER",
            Self::ReceiversAtLook => "the members to be pushed are those whom the look saw, before the claim",
            Self::ReceiversBeforeTail => "the members to be pushed are read before TAIL is moved",
            Self::PushBeforeTail => "PRESENCE is read before TAIL is moved",
            Self::PushBelowFirstSeq => "a message is pushed to members whose `first_seq` is above it",
            Self::ReceiptBeforeTail => "RECEIPT is written before TAIL is moved",
            Self::ReceiptBeforePush => "RECEIPT is written before the members are pushed",
            Self::MarkAnyInbox => "a mark doesn't ask that the INBOX is of the membership that was read",
            of_group => of_group.about_group(),
        }
    }

    /// The same of what concerns the whole group.
    fn about_group(self) -> &'static str {
        match self {
            Self::CreateTrustsMeta => "a retry of createGroup takes META for the whole group",
            Self::CreateOverwrites => "createGroup puts MEMBER though there is one",
            Self::WholeBeforeMembers => "META says `whole` before the MEMBERs are put",
            Self::AnsweredBeforeWhole => "createGroup is answered before META says `whole`",
            Self::ToldBeforeWhole => "createGroup tells each member as soon as their MEMBER is put",
            Self::SweepTellsEarly => "the sweep doesn't ask whether the group is whole",
            Self::CleanupOfWhole => "the cleanup doesn't ask that the group isn't whole",
            Self::CleanupDeletesMeta => "the cleanup deletes META before the MEMBERs, so that a retry can begin anew",
            Self::ChangeOfPart => "a change doesn't ask whether the group is whole",
            Self::CountWithoutRoster => "the count is written without asking for `roster`",
            Self::CountLeavesRoster => "writing the count doesn't count `roster` up",
            Self::CountBeforeRoster => "`roster` is read after the members were counted",
            Self::CountedOnce => "whose count is refused doesn't count again",
            Self::CountAdded => "who adds or removes somebody changes the count by one instead of counting",
            Self::EqualCountUnwritten => "a count that META has already isn't written",
            Self::NobodyPromoted => "nobody is made an admin when the last one goes",
            Self::PromotedAtOnce => "the first count that finds no admin makes one",
            Self::PromotedAnyVersion => {
                "the oldest member is made an admin without asking for the version that was counted"
            }
            Self::PromotedUncounted => "who has made an admin doesn't count again",
            Self::CallerUnasked => "a change doesn't ask whether its caller is an admin",
            Self::RenameWithoutRoster => "a name is written without asking for `roster`",
            Self::RenameLeavesRoster => "writing a name doesn't count `roster` up",
            Self::RenameNotRemembered => "META doesn't remember the requests that changed the name",
            Self::PresenceFirst => "PRESENCE is read before the MEMBERs, both after TAIL was moved",
            _ => "",
        }
    }

    /// The small configuration that shows it soonest; the one that comes nearest, if nothing shows it.
    pub fn configuration(self) -> &'static str {
        match self {
            Self::MemberPutAnyVersion | Self::RequestForgotten => "added",
            Self::AddOfMemberForgotten => "added-again",
            Self::RemoveOfOutsiderForgotten => "removed-again",
            Self::TombstoneDeleted | Self::CreateOverwrites => "creates",
            Self::UnlistFirst => "joins",
            Self::AddUnlisted | Self::UnlistAnyVersion | Self::InboxPutAnyVersion | Self::InboxDeleted => "due",
            Self::InboxPutResets => "marks-on",
            Self::TellBeforeInbox => "joins",
            Self::TellingWithoutVersion => "told",
            Self::HintForgotten => "hints-late",
            Self::KnownVersionUnread => "comes-back",
            Self::ViewBeforeMember
            | Self::ReceiversBeforeTail
            | Self::PushBeforeTail
            | Self::PresenceFirst
            | Self::SyncBelowFirstSeq => "hears",
            Self::ViewWithoutMember => "told-late",
            Self::FirstSeqOne | Self::TailBeforeMember | Self::TailKept | Self::PushBelowFirstSeq => "rejoins",
            Self::SyncMemberFirst | Self::ReceiversAtLook | Self::ReceiptBeforePush => "goes",
            Self::PageMemberFirst => "reads",
            Self::PageBelowFirstSeq => "returns",
            Self::SenderUnasked | Self::ResumeAsksMember | Self::RefusedByFirstLook => "sends",
            Self::ReceiptBeforeTail => "hears",
            Self::ChangeOfPart => "creates-part",
            Self::MarkAnyInbox => "marks",
            Self::CreateTrustsMeta | Self::WholeBeforeMembers | Self::AnsweredBeforeWhole => "creates",
            Self::ToldBeforeWhole | Self::SweepTellsEarly => "creates-due",
            Self::CleanupOfWhole | Self::CleanupDeletesMeta => "given-up",
            Self::CountWithoutRoster
            | Self::CountLeavesRoster
            | Self::CountBeforeRoster
            | Self::CountedOnce
            | Self::CountAdded
            | Self::EqualCountUnwritten => "counts",
            Self::PromotedAnyVersion => "admins-all",
            Self::NobodyPromoted | Self::PromotedUncounted => "admins",
            Self::PromotedAtOnce => "hands-over",
            Self::CallerUnasked => "asks",
            Self::RenameWithoutRoster | Self::RenameLeavesRoster | Self::RenameNotRemembered => "names",
        }
    }

    /// Why nothing goes wrong without this guard, if that is so.
    pub fn harmless(self) -> Option<&'static str> {
        match self {
            Self::PresenceFirst => {
                Some("who connects or joins after TAIL was moved finds the number by `sync` or the view")
            }
            _ => None,
        }
    }
}
