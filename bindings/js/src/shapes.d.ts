// Made by types.mjs from bindings/ffi/schema.json. Bytes are hexadecimal, peers base58, times milliseconds.

/** Why a signer refuses a session for good. */
export type AbortReason = "declined" | "left" | "closed" | "unverified" | "reputation";

/** What is done with a session. */
export type Action = 
  /** The embedder is asked. */
  | {
    type: "ask";
  }
  /** It is joined. */
  | {
    /** What of it may be unusual. One that is unusual otherwise is not joined: the embedder is asked. */
    allow?: (Unusual)[];
    type: "approve";
  }
  /** It is refused, and the other signers are told. */
  | {
    type: "decline";
  };

/**
 * An address where a peer may be reached: for libp2p a binary multiaddr without the peer id, 1 to 255 bytes in
 * hexadecimal.
 */
export type AddressHex = string;

/** What another signer offers, and which peer holds its key. */
export type Advertisement = {
  /** Where the peer listens. */
  addresses: (AddressHex)[];
  /** From when on it is void. */
  expires_at_ms: number;
  /** When it was signed. */
  issued_at_ms: number;
  /** What is offered; nothing any more when there is none. */
  offer?: 
    | Offer
    | null;
  /** The peer that holds the key. */
  peer: Peer;
};

/** The answer to a [`Call`]. */
export type Answer = 
  /** To `version`. */
  | {
    type: "version";
    /** Of this library. */
    version: string;
    /** Of the messages between nodes. */
    wire: number;
  }
  /** To `public-key`. */
  | {
    /** The public key. */
    key: Key;
    type: "public-key";
  }
  /** To `aggregate`. */
  | {
    /**
     * The address of the Taproot output with the challenge key; none without a Taproot tweak, since no such output
     * should be paid.
     */
    address?: string | null;
    /** The aggregate key. */
    aggregate_key: Key;
    /** The key that signatures verify under: the aggregate key with the tweak. */
    challenge_key: Key;
    /** The keys in the order in which a session has them. */
    keys: (Key)[];
    type: "aggregate";
  }
  /** To `verify`. */
  | {
    /** Whether the signature is valid. */
    is_valid: boolean;
    type: "verify";
  }
  /** To `check-record`: the value is valid. */
  | {
    /** When the newest of what it says was signed. */
    issued_at_ms: number;
    type: "check-record";
  }
  /** To `merge-own`. */
  | {
    type: "merge-own";
    /** What to store. */
    value: Hex;
  }
  /** To `check-evidence`: the evidence holds. */
  | {
    /** In which attempt. */
    attempt: number;
    /** The message keys with which it was said; none where the signing key itself has. */
    message_keys: (Key)[];
    /** Of what. */
    offence: Offence;
    /** In which session. */
    session: Session;
    /** The guilty signer. */
    signer: Key;
    type: "check-evidence";
  };

/** What signing a session does. All texts are harmless to show. */
export type Approval = {
  /** The creator's words, which nobody has checked. */
  description: string;
  /** All of it in one line. */
  line: string;
  /** What is signed. */
  signs: Signs;
  /** What has to be allowed by name when the session is joined. */
  unusual: (Unusual)[];
  /** What a person should know first, in sentences. */
  warnings: (string)[];
};

/** Why a new attempt began. */
export type AttemptCause = 
  /** This node was restarted: its nonces of the attempt before are gone for good. */
  | {
    type: "restarted";
  }
  /** This node tries again after a failure. */
  | {
    type: "retried";
  }
  /** The embedder asked for it. */
  | {
    type: "commanded";
  }
  /** This node has approved, after the attempt before had lapsed at others. */
  | {
    type: "approved";
  }
  /** All signers have approved by now, and can be reached. */
  | {
    type: "gathered";
  }
  /** Another signer had begun it. */
  | {
    /** Who. */
    signer: Key;
    type: "followed";
  }
  /** For another reason, which this version of the shapes does not know. */
  | {
    type: "unknown";
  };

/** Why an attempt failed. */
export type AttemptFailure = {
  /** Which it is: `invalid-partial`, `invalid-nonce`, `split-view`, `nonces-cancel`, `stuck` or `signer`. */
  code: string;
  /** Why this node's own signer has not signed, if it is that. */
  error?: 
    | SignerError
    | null;
  /** Who has to do with it, and what it was about; nobody can always be named. */
  faults: (ItemFault)[];
  /** In words, and what to do about it. */
  message: string;
};

/** The id of an identity that money was burned for: 32 bytes in hexadecimal. */
export type Burned = string;

/** 32 bytes in hexadecimal. */
export type Bytes32 = string;

/** A question that needs no machine. */
export type Call = 
  /** Which version this is. */
  | {
    type: "version";
  }
  /** The public key of a secret. */
  | {
    /** The secret. */
    secret: Bytes32;
    type: "public-key";
  }
  /** The key that several signers have together. */
  | {
    /** Their keys, in any order. */
    keys: (Key)[];
    /** For which network's Lotus address; `mainnet` unless it is said. */
    network?: 
      | Network
      | null;
    /** The rules. */
    suite: Suite;
    /** What is added to the aggregate key. */
    tweak?: Tweak;
    type: "aggregate";
  }
  /** Whether a signature is valid under a challenge key. */
  | {
    /** The key that it is to verify under. */
    key: Key;
    /** What was signed. */
    message: Hex;
    /** The signature. */
    signature: SignatureHex;
    /** The rules. */
    suite: Suite;
    type: "verify";
  }
  /** Whether a value belongs under a key of the DHT, and when it was signed: for a DHT's validator and selector. */
  | {
    /** The DHT key. */
    key: string;
    /** The network. */
    network: Network;
    type: "check-record";
    /** The value. */
    value: Hex;
    /** The time, in milliseconds since 1970. */
    wall_ms: number;
  }
  /** What a host stores that already has a value under a DHT key and is to store another one of its own. */
  | {
    /** What is stored. */
    stored: Hex;
    type: "merge-own";
    /** What is to be stored. */
    value: Hex;
  }
  /** Whether evidence of misbehaviour holds, and against whom. */
  | {
    /** The evidence, as the event `signer-misbehaved` has it. */
    evidence: unknown;
    type: "check-evidence";
  };

/** A wish. What comes of it is told by events; a refusal changes nothing. */
export type Command = 
  /** Start a session, and announce it to its other signers. */
  | {
    /** What of it may be unusual. A session that is unusual otherwise is not created; a bare message is `opaque`. */
    allow?: (Unusual)[];
    /** What it is for. */
    details?: Details;
    /** How the coordinator is chosen; `lexicographic` unless it is said. */
    election?: 
      | Method
      | null;
    /** Whether to ask in public too, so that signers who are away find the request. */
    is_listed?: boolean;
    /** What is signed, item by item. */
    items: (Item)[];
    /** All signers, this node's own key among them, in any order. */
    keys: (Key)[];
    /**
     * For how long it may be signed, in milliseconds; without, as long as the configuration says, which is the
     * most.
     */
    lifetime_ms?: number | null;
    /** The rules. */
    suite: Suite;
    type: "create";
  }
  /** Take part in a session that was announced. This is the approval: the embedder has looked at what is signed. */
  | {
    /** What of it may be unusual. */
    allow?: (Unusual)[];
    /** Which session. */
    session: Session;
    type: "join";
  }
  /** Refuse a session, or stop one that has not completed. */
  | {
    /** Why. */
    reason: AbortReason;
    /** Which session. */
    session: Session;
    type: "abort";
  }
  /** Make a new attempt at a session whose last one failed. */
  | {
    /** Which session. */
    session: Session;
    type: "retry";
  }
  /** The final signature has been broadcast. */
  | {
    /** Of which session. */
    session: Session;
    type: "confirm-broadcast";
  }
  /** Forget a session; one that has not ended is aborted first. */
  | {
    /** Which session. */
    session: Session;
    type: "close";
  }
  /** Offer to sign, from now on and over restarts. */
  | {
    /** For how long each advertisement of it is valid, in milliseconds; without, as the settings say. */
    lifetime_ms?: number | null;
    /** What. */
    offer: Offer;
    type: "advertise";
  }
  /** Offer nothing any more. */
  | {
    type: "withdraw";
  }
  /** Hear of signers for this type. */
  | {
    /** Which. */
    kind: TransactionType;
    type: "subscribe";
  }
  /** Hear of them no more. */
  | {
    /** Which. */
    kind: TransactionType;
    type: "unsubscribe";
  }
  /** Look for signers. */
  | {
    /** For this amount, in satoshi; any when there is none. */
    amount?: number | null;
    /** Only those with an identity that money was burned for. */
    is_verified?: boolean;
    /** For this type; any when there is none. */
    kind?: 
      | TransactionType
      | null;
    /** No more than so many; 100 unless it is said. */
    max_results?: number | null;
    /** Whose reputation with this node is at least this, 0 to 100. */
    min_reputation?: number;
    type: "find-signers";
  }
  /** Look for signing requests that need this node's key. */
  | {
    type: "find-requests";
  }
  /** Look for a session by its id. */
  | {
    /** Which. */
    session: Session;
    type: "find-session";
  }
  /** Announce a resource, or announce it anew. */
  | {
    /** The data, at most 8,192 bytes; without, the resource is withdrawn. */
    data?: 
      | Hex
      | null;
    /** Of which kind. */
    kind: Name;
    /** How long it is valid. */
    lifetime_ms: number;
    /** What it is called. */
    name: Name;
    type: "announce-resource";
  }
  /** Look for resources of a kind. */
  | {
    /** Which. */
    kind: Name;
    type: "find-resources";
  }
  /** Listen to a peer no more, until it is unbanned. */
  | {
    /** Which. */
    peer: Peer;
    type: "ban";
  }
  /** Forget what is held against a peer. */
  | {
    /** Which. */
    peer: Peer;
    type: "unban";
  }
  /** From now on these rules decide what gets in. No event answers it. */
  | {
    /** The rules. */
    policy: Policy;
    type: "set-policy";
  };

/** Everything that defines a session. */
export type Definition = {
  /** When it was asked for, by the creator's clock. */
  created_at_ms: number;
  /** The index of the signer who asked for the session. */
  creator: number;
  /** What it is for, with the transaction that is signed, if there is one. */
  details: Details;
  /** How the coordinator is chosen. */
  election: Method;
  /** When nobody may join it any more. */
  expires_at_ms: number;
  /** Whether the creator asks in public too. */
  is_listed: boolean;
  /** What is signed, all of it or nothing. */
  items: (Item)[];
  /** The signers' keys, ascending and distinct. */
  keys: (Key)[];
  /** The network that the keys belong to. */
  network: Network;
  /** Drawn at random by the creator. */
  nonce: Bytes32;
  /** The rules of aggregation and signing. */
  suite: Suite;
};

/** What a session is for. */
export type Details = {
  /**
   * What the creator has to say about it, as it was sent: at most 512 bytes. To show it, take the approval's
   * `description`, which is harmless.
   */
  description?: string;
  /** What kind of transaction. */
  kind?: 
    | TransactionType
    | null;
  /** The transaction. With it the session's items are inputs of it. */
  spending?: 
    | Spending
    | null;
};

/** Why nothing was done. */
export type Error = {
  /** For programs: stays the same in later versions. */
  code: string;
  /** For people: what is wrong. */
  message: string;
  /** For people: what to do about it. */
  remedy: string;
};

/** A fact for the embedder. When it is seen, the view already shows the state after it. */
export type Event = 
  /** The peer that holds this key is connected. */
  | {
    /** The signer. */
    key: Key;
    /** Its peer. */
    peer: Peer;
    type: "signer-connected";
  }
  /** The peer that holds this key is gone. */
  | {
    /** The signer. */
    key: Key;
    /** Its peer. */
    peer: Peer;
    type: "signer-disconnected";
  }
  /** This peer has broken the rules too often and is not listened to for a while. */
  | {
    /** For how long. */
    duration_ms: number;
    /** The peer. */
    peer: Peer;
    /** What it did last. */
    refusal: Refusal;
    type: "peer-graylisted";
  }
  /** This peer goes on breaking the rules: who runs firewalls or lists of their own should ban it there. */
  | {
    /** The peer. */
    peer: Peer;
    /** What it did last. */
    refusal: Refusal;
    type: "should-ban";
  }
  /** This peer is banned here. */
  | {
    /** For how long; without end when it was done by hand. */
    duration_ms?: number | null;
    /** The peer. */
    peer: Peer;
    /** What it did last; nothing when it was done by hand. */
    refusal?: 
      | Refusal
      | null;
    type: "peer-blacklisted";
  }
  /** This peer is banned no more: its time is over, or it was unbanned by hand. */
  | {
    /** The peer. */
    peer: Peer;
    type: "peer-unbanned";
  }
  /** This peer, which was graylisted, is listened to again. */
  | {
    /** The peer. */
    peer: Peer;
    type: "peer-ungraylisted";
  }
  /** This node's signer lets its message key speak for it. Told for each new delegation, and not after a restart. */
  | {
    /** Until when. The signer is asked for another one after half of that. */
    expires_at_ms: number;
    /** The message key. */
    message_key: Key;
    type: "delegated";
  }
  /**
   * This node's signer has not delegated to its message key: it has not answered for a while, or with an error. It
   * is asked again. Without a delegation that is valid the node says nothing.
   */
  | {
    /** What the signer has said, if it has answered. */
    error?: 
      | SignerError
      | null;
    /** The message key. */
    message_key: Key;
    type: "delegation-awaited";
  }
  /**
   * Money was burned for this key, as the host has verified, and it has more room here. Told again when that
   * changes, and not after a restart.
   */
  | {
    /** Its identity, which may have been another key's. */
    id: Burned;
    /** The key. */
    key: Key;
    /** How much room. */
    tier: Tier;
    type: "identity-verified";
  }
  /** The identity of a key counts no more: it was passed on to another key, or a burn is not in the chain any more. */
  | {
    /** Its identity. */
    id: Burned;
    /** The key. */
    key: Key;
    type: "identity-lost";
  }
  /** This node's offer is signed and on its way to everyone. */
  | {
    /** Until when it is valid, unless it is renewed. */
    expires_at_ms: number;
    type: "advertised";
  }
  /** This node offers nothing any more. */
  | {
    type: "withdrawn";
  }
  /** A signer offers to sign, or offers something else than before. */
  | {
    /** What it says. */
    advertisement: Advertisement;
    /** The signer. */
    key: Key;
    type: "signer-discovered";
  }
  /** A signer offers nothing any more. */
  | {
    /** The signer. */
    key: Key;
    type: "signer-withdrawn";
  }
  /** A search has found a signer, each once; what it offers is in the node's view. */
  | {
    /** The search. */
    command: Id;
    /** The signer. */
    key: Key;
    type: "signer-found";
  }
  /** A search has found a session that needs this node's key, each once. */
  | {
    /** The search. */
    command: Id;
    /** The session. */
    session: Session;
    type: "request-found";
  }
  /** A search has found a resource, each once; what it is is in the node's view. */
  | {
    /** The search. */
    command: Id;
    /** The resource. */
    resource: ResourceId;
    type: "resource-found";
  }
  /** A search is over. */
  | {
    /** The search. */
    command: Id;
    /** How much it has found. */
    found: number;
    type: "search-finished";
  }
  /** A resource is new, or has other data than before, or none any more. */
  | {
    /** The resource. */
    resource: ResourceId;
    type: "resource-discovered";
  }
  /** A protocol of this node's has something to say to the embedder, in its own words. */
  | {
    /** What. */
    payload: Hex;
    /** The protocol. */
    protocol: Name;
    type: "protocol-event";
  }
  /** A session is on offer in public: signers who are away find it when they return. */
  | {
    /** The session. */
    session: Session;
    type: "request-listed";
  }
  /** The session that a command asked for exists. */
  | {
    /** The command. */
    command: Id;
    /** The session. */
    session: Session;
    type: "session-created";
  }
  /** Another signer asks this node to sign: look at it, then join or abort. */
  | {
    /** Who asks. */
    creator: Key;
    /** The session. */
    session: Session;
    /** What signing it does. */
    summary: Approval;
    type: "session-announced";
  }
  /**
   * This node has approved a session, which it created or joined: from now on it signs. What is told here is what
   * was approved, complete, and stays true when the session is forgotten.
   */
  | {
    /** The session. */
    session: Session;
    /** What signing it does. All that is unusual in it was allowed by name. */
    summary: Approval;
    type: "session-approved";
  }
  /** A signer takes part in this attempt. */
  | {
    /** The attempt. */
    attempt: number;
    /** The session. */
    session: Session;
    /** The signer. */
    signer: Key;
    type: "signer-joined";
  }
  /**
   * A signer cannot take this node's request now, because too many wait for its owner's approval. It is offered the
   * request again until it takes it or the session ends.
   */
  | {
    /** The session. */
    session: Session;
    /** The signer. */
    signer: Key;
    type: "signer-busy";
  }
  /** The session has moved on. */
  | {
    /** The attempt. */
    attempt: number;
    /** Where it stands. */
    phase: Phase;
    /** The session. */
    session: Session;
    type: "phase-changed";
  }
  /**
   * This node's signer has not answered for a while: it may be away, or wait for a person. The session waits for
   * it, and no other session does.
   */
  | {
    /** The attempt. */
    attempt: number;
    /** The session. */
    session: Session;
    /** For what. */
    task: SignerTask;
    type: "signer-awaited";
  }
  /** A new attempt has begun, with new nonces. */
  | {
    /** The attempt. */
    attempt: number;
    /** Why. */
    cause: AttemptCause;
    /** The session. */
    session: Session;
    type: "attempt-started";
  }
  /**
   * Not all signers have taken part in time. The attempt is over and nothing has failed: whoever approves, or is
   * back, begins the next one.
   */
  | {
    /** The attempt. */
    attempt: number;
    /** Who has not taken part. */
    missing: (Key)[];
    /** The session. */
    session: Session;
    type: "attempt-lapsed";
  }
  /** An attempt has failed. */
  | {
    /** The attempt. */
    attempt: number;
    /** Why. */
    failure: AttemptFailure;
    /** The session. */
    session: Session;
    type: "attempt-failed";
  }
  /** A signer has broken the protocol, and anyone can check that it has. */
  | {
    /** The proof, for the call `check-evidence`. */
    evidence: unknown;
    /** The session. */
    session: Session;
    /** The signer. */
    signer: Key;
    type: "signer-misbehaved";
  }
  /**
   * The final signatures are known, verified and durable. Told again after a restart, until the broadcast is
   * claimed: the crash may have come before the embedder heard of it.
   */
  | {
    /** The attempt that this node was at. */
    attempt: number;
    /** The session. */
    session: Session;
    /** The signature of each item, under the item's challenge key. */
    signatures: (SignatureHex)[];
    type: "session-completed";
  }
  /** It is this node's turn to broadcast the final signature. Answer with the command `confirm-broadcast`. */
  | {
    /** The session. */
    session: Session;
    type: "should-broadcast";
  }
  /** A coordinator has let its turn pass and says nothing of a broadcast; the next one takes over. */
  | {
    /** Whose turn it was. */
    coordinator: Key;
    /** How many have failed so far. */
    failures: number;
    /** The session. */
    session: Session;
    type: "coordinator-failed";
  }
  /** Everyone has let the turn pass. The signature is still valid; whoever cares should broadcast it. */
  | {
    /** How many have failed. */
    failures: number;
    /** The session. */
    session: Session;
    type: "failover-exhausted";
  }
  /**
   * A signer whose turn it was says that it has broadcast the signature, or this node's owner does. That ends the
   * turns. It is this signer's word: nelumbo sees no chain. Whoever can look where the signature belongs should.
   */
  | {
    /** Whose word it is. */
    by: Key;
    /** The session. */
    session: Session;
    type: "broadcast-claimed";
  }
  /**
   * Everyone's turn to broadcast would be over by now, and that it was done rests on this signer's word alone. Look
   * where the signature belongs, broadcast it if it is not there, which is harmless if it is, and answer with the
   * command `confirm-broadcast`. Told again after a restart until then.
   */
  | {
    /** Whose word it is. */
    by: Key;
    /** The session. */
    session: Session;
    type: "broadcast-unconfirmed";
  }
  /** A signer refused the session. */
  | {
    /** Who. */
    by: Key;
    /**
     * Whether a signature may still appear: this node's partial signature may have left before. If it does, it is
     * told as any other.
     */
    may_complete: boolean;
    /** Why. */
    reason: AbortReason;
    /** The session. */
    session: Session;
    type: "session-aborted";
  }
  /**
   * This node's clock was wrong when it created the session, whose dates are part of its id: other signers refuse
   * it. Close it, and create it again.
   */
  | {
    /** The session. */
    session: Session;
    type: "session-misdated";
  }
  /** The session's time ended before this node had a signature. */
  | {
    /** Whether a signature may still appear, as when a session is aborted. */
    may_complete: boolean;
    /** The session. */
    session: Session;
    type: "session-expired";
  }
  /**
   * The node has forgotten the session but for its id: it was closed, its time is over, or it made room for
   * another.
   */
  | {
    /** The session. */
    session: Session;
    type: "session-closed";
  }
  /**
   * A presence under this node's key was heard that this node has not signed: the key is in use twice, or this
   * machine's clock was set back between two starts. Stop one of the two nodes: what they say in a session
   * contradicts itself, and the others take it for equivocation.
   */
  | {
    /** When it signed its presence. */
    issued_at_ms: number;
    /** The peer that speaks with this node's key. */
    peer: Peer;
    type: "key-in-use-twice";
  }
  /** Something that this version of the shapes does not know. */
  | {
    /** The core's name for it, and what it says. */
    event: unknown;
    type: "unknown";
  };

/** Bytes in hexadecimal, in lower case. */
export type Hex = string;

/** A number by which host and node name something to each other. */
export type Id = number;

/**
 * The identity that a key has: every burn is in the chain, old enough and used for nothing else, and all keys have
 * signed.
 */
export type Identity = {
  /** The keys that had it before, in order. */
  former?: (Key)[];
  /** Its name. */
  id: Burned;
  /** What it gives its key. */
  tier: Tier;
};

/** Something that has happened. Handling one cannot fail: what a peer did wrong is refused and counted. */
export type Input = 
  /** The first connection to this peer is up. */
  | {
    /** The peer. */
    peer: Peer;
    type: "connected";
  }
  /** The last connection to this peer is down. */
  | {
    /** The peer. */
    peer: Peer;
    type: "disconnected";
  }
  /** A peer sent these bytes directly. */
  | {
    /** The message. */
    bytes: Hex;
    /** The peer at the other end of the connection, authenticated by the transport. */
    peer: Peer;
    type: "received";
  }
  /** These bytes came by gossip; the host waits for the output `verdict`. */
  | {
    /** The message. */
    bytes: Hex;
    /** The host's name for the message. */
    id: Id;
    /** The peer that passed the message on. */
    peer: Peer;
    type: "gossip";
  }
  /** A DHT lookup found this value. */
  | {
    /** The record's value. */
    bytes: Hex;
    /** The lookup. */
    operation: Id;
    type: "found";
  }
  /** A DHT lookup has ended; whatever it found has been reported. */
  | {
    /** The lookup. */
    operation: Id;
    type: "lookup-finished";
  }
  /** A peer asks this node to store a DHT record; the host waits for `accept-record` or `reject-record`. */
  | {
    /** The record's value. */
    bytes: Hex;
    /** The host's name for the record. */
    id: Id;
    /** The DHT key. */
    key: string;
    /** The peer at the other end of the connection. */
    peer: Peer;
    /** The value that is stored under this key, if any. */
    stored?: 
      | Hex
      | null;
    /** Where the connection comes from, if the host knows. */
    subnet?: 
      | Subnet
      | null;
    type: "put-requested";
  }
  /** The routing table has this many peers now. */
  | {
    /** How many. */
    peers: number;
    type: "routing-table";
  }
  /** The addresses at which this node can be reached, all of them. */
  | {
    /** The addresses. */
    addresses: (AddressHex)[];
    type: "addresses";
  }
  /** All records up to this one are durable. */
  | {
    /** The record's number. */
    sequence: Id;
    type: "persisted";
  }
  /** The signer has answered. It may be late, or come twice. */
  | {
    /** The answer. */
    reply: SignReply;
    type: "signed";
  }
  /** The signer can be reached again, having perhaps forgotten everything. */
  | {
    type: "signer-ready";
  }
  /** The host has verified on a chain which identity a key has, or that it has none any more. */
  | {
    /** Its identity. */
    identity?: 
      | Identity
      | null;
    /** The key; this node's own too. */
    key: Key;
    type: "identity";
  }
  /** Time has passed. Any other input runs due timers too. */
  | {
    type: "tick";
  };

/** One thing that is signed, under the session's keys. */
export type Item = 
  /** A bare message. */
  | {
    /** 32 bytes for Lotus, up to 4,096 for BIP340. */
    message: Hex;
    /** What is added to the aggregate key for it; nothing unless it is said. */
    tweak?: Tweak;
    type: "message";
  }
  /** An input of the transaction in the session's details. Every signer computes what is signed. */
  | {
    /** Which, and how. */
    signed: SignedInput;
    /** What is added to the aggregate key for it; nothing unless it is said. */
    tweak?: Tweak;
    type: "input";
  };

/** A signer that has to do with a failure. */
export type ItemFault = {
  /** The item, from 0, if it is about one. */
  item?: number | null;
  /** The signer. */
  signer: Key;
};

/** A signer's public key: compressed, 33 bytes in hexadecimal. */
export type Key = string;

/** How much of everything a node takes and keeps. What is not said has its default. */
export type LimitSettings = {
  /** Signers whose advertisements are known. */
  advertisements?: number | null;
  /** New advertisements of one key. */
  advertisements_per_key?: 
    | QuotaSetting
    | null;
  /** Keys in the sessions that one signer announces: the work of an announcement grows with its signers. */
  announced_keys?: 
    | QuotaSetting
    | null;
  /** New resources of one author. */
  announcements_per_author?: 
    | QuotaSetting
    | null;
  /** Signers whose announcements of sessions are counted. */
  announcers?: number | null;
  /**
   * Attempts at one session, whoever begins them, without those that have lapsed. Of these there are no more than
   * `stuck_timeout` fits into the time since its creation.
   */
  attempts?: number | null;
  /** The penalty from which on a peer is banned for a day, and for twice as long each further time. */
  blacklist_at?: number | null;
  /** Bytes from all peers together, beyond the messages that are reserved for each. */
  bytes?: 
    | QuotaSetting
    | null;
  /** Bytes from one peer. The burst has room for the largest message. */
  bytes_per_peer?: 
    | QuotaSetting
    | null;
  /** Ids of sessions that were closed or made room, so that late messages mean nothing; at most 100 bytes each. */
  closed?: number | null;
  /**
   * Messages that wait for the announcements of their sessions, of all signers together. A large one counts once
   * for each 10,000 bytes.
   */
  early?: number | null;
  /** How long a message waits for the announcement of its session. */
  early_lifetime_ms?: number | null;
  /** Messages of one signer that wait for the announcements of their sessions. */
  early_per_author?: number | null;
  /**
   * Sessions that have ended and can be looked at until they expire, and for a day longer when this node has signed
   * in them. The oldest make room, and only their ids are kept.
   */
  ended?: number | null;
  /** The penalty from which on a peer is not listened to for an hour. */
  graylist_at?: number | null;
  /** Keys whose identities are known; of further ones nothing is remembered. */
  identities?: number | null;
  /** Keys that one peer may hold, unless the policy gives it more. */
  keys_per_peer?: number | null;
  /** How often DHT lookups begin, so that waiting for many signers costs the network little. */
  lookup_rate?: 
    | QuotaSetting
    | null;
  /** DHT lookups under way at once. */
  lookups?: number | null;
  /** DHT lookups that wait for one under way to end. */
  lookups_waiting?: number | null;
  /** Messages from all peers together, beyond what is reserved for each. */
  messages?: 
    | QuotaSetting
    | null;
  /** Messages from one peer. */
  messages_per_peer?: 
    | QuotaSetting
    | null;
  /**
   * Messages from one peer that are taken even when all peers together send too much, so that many who shout do not
   * silence those who speak.
   */
  messages_reserved_per_peer?: 
    | QuotaSetting
    | null;
  /** Peers whose behaviour is remembered, connected or not. */
  neighbours?: number | null;
  /** Connected peers that the node keeps account of. */
  peers?: number | null;
  /**
   * Signers whose keys are prepared for faster verification once they have signed some messages in sessions, 16 KiB
   * each. When there are more, those who have been silent the longest are verified as anyone is.
   */
  prepared_keys?: number | null;
  /**
   * Keys whose holders are known from others; as many more that sessions want; and beside them those of connected
   * peers.
   */
  presences?: number | null;
  /** New presences of one key. */
  presences_per_key?: 
    | QuotaSetting
    | null;
  /**
   * Messages to other protocols whose repetition would be noticed. Half of it is shared out to as many neighbours
   * as `peers` says; of the rest whoever needs more may use as much as is free.
   */
  protocol_messages?: number | null;
  /** Bytes of these records. */
  protocol_record_bytes?: number | null;
  /** Records of other protocols that outlast a restart. */
  protocol_records?: number | null;
  /** Timers of other protocols. */
  protocol_timers?: number | null;
  /** Gossip topics of other protocols that this node listens to. */
  protocol_topics?: number | null;
  /** Messages of other protocols that wait for their receivers to be found. */
  protocol_waiting?: number | null;
  /**
   * DHT records that are kept for others. When there are more, those that are far make room, of whoever has the
   * most.
   */
  records?: number | null;
  /**
   * New DHT records and announcements from one peer, and new records of one author: everything that an honest
   * signer announces at once, and then one at a time.
   */
  records_per_peer?: 
    | QuotaSetting
    | null;
  /** Signers whose reputation is remembered. */
  reputations?: number | null;
  /** Signing requests, whomever they are for, whose repetition is noticed. */
  requests?: number | null;
  /** Resources of others that are known. */
  resources?: number | null;
  /**
   * Resources of one author that are known, of all kinds; of this node's own, those that it announces. Also the
   * records of one author that are kept for others.
   */
  resources_per_author?: number | null;
  /** Resources of one author and one kind that are known; of this node's own, those that it announces. */
  resources_per_kind?: number | null;
  /** Searches of the embedder's under way at once. */
  searches?: number | null;
  /**
   * How far a message's number may be behind the newest of its author, in its session and attempt, when it says
   * nothing that the session lacks.
   */
  sequence_window?: number | null;
  /** Sessions that have not ended, this node's own and others' together. */
  sessions?: number | null;
  /**
   * Nonces that sessions of this node's have which have not ended: items times signers of each, added up. Sessions
   * that wait for approval have as many again.
   */
  slots?: number | null;
  /** Messages of one author to gossip topics of other protocols. */
  topic_messages_per_author?: 
    | QuotaSetting
    | null;
  /**
   * Announced sessions that await this node's approval, of all creators together; and those that ended before it,
   * whose end is told to whoever has missed it. Part of `sessions`, but those that this node creates or approves
   * come first.
   */
  unapproved?: number | null;
  /** Announced sessions that await this node's approval, of one creator. */
  unapproved_per_creator?: number | null;
};

/** Before when a transaction is not valid. */
export type LockTime = {
  /** Whether it counts: it does not when every input is final. */
  effective: boolean;
  /** What it counts. */
  unit: LockUnit;
  /** The height of a block, or seconds since 1970. */
  value: number;
};

/** What a lock time counts: blocks, or seconds since 1970. */
export type LockUnit = "height" | "time";

/** A bare message. */
export type Message = {
  /** It in hexadecimal. */
  hex: string;
  /** It as text, harmless to show, if it is UTF-8 and not empty. */
  text?: string | null;
};

/** How the coordinator is chosen, who broadcasts first. */
export type Method = "lexicographic" | "hash-based" | "first-signer" | "last-signer" | "rotating";

/** A name of 1 to 64 of `a`-`z`, `0`-`9`, `-`, `_` and `.`. */
export type Name = string;

/** The network that the keys belong to. */
export type Network = "mainnet" | "testnet" | "regtest";

/** A public nonce: two points, 66 bytes in hexadecimal. */
export type NonceHex = string;

/** What a signer is guilty of. */
export type Offence = "equivocation" | "invalid-nonce" | "invalid-partial" | "invalid-signature";

/** What a signer offers. All of it is signed. */
export type Offer = {
  /** What it says about itself, harmless to show; at most 512 bytes. */
  description?: string;
  /** What it charges, in satoshi. */
  fee?: number | null;
  /** The largest amount, in satoshi. */
  max_amount?: number | null;
  /** The smallest amount, in satoshi. */
  min_amount?: number | null;
  /** The reputation with this signer, 0 to 100, that it wants of whom it signs with. */
  min_reputation?: number | null;
  /** What it wants to be called, harmless to show; at most 64 bytes. */
  nickname?: string;
  /** Whether it wants of whom it signs with that money was burned for an identity. */
  requires_verification?: boolean;
  /** How soon it usually answers, in milliseconds; counted in whole seconds. */
  response_ms?: number | null;
  /** What it signs for; ascending and distinct. */
  types: (TransactionType)[];
};

/** Something for the host to do. */
export type Output = 
  /**
   * Make this record durable, then report the input `persisted`. A later record with the same key replaces an
   * earlier one; no value removes it. Records become durable in order.
   */
  | {
    /** The record's key. */
    key: Hex;
    /** The record's number. */
    sequence: Id;
    type: "persist";
    /** The record's value. */
    value?: 
      | Hex
      | null;
  }
  /**
   * Ask the signer for this, and report its answer as the input `signed`. A machine that has the signing key never
   * says this: it asks itself.
   */
  | {
    /** What. */
    request: SignRequest;
    type: "sign";
  }
  /** Send these bytes to a connected peer as one direct message. */
  | {
    /** The message. */
    bytes: Hex;
    /** The receiver. */
    peer: Peer;
    type: "send";
  }
  /** Take part in this gossip topic from now on. */
  | {
    /** The topic's name. */
    topic: string;
    type: "subscribe";
  }
  /** Take part in this gossip topic no more. */
  | {
    /** The topic's name. */
    topic: string;
    type: "unsubscribe";
  }
  /** Publish these bytes by gossip. No subscribers is no error. */
  | {
    /** The message. */
    bytes: Hex;
    /** The topic's name. */
    topic: string;
    type: "publish";
  }
  /** What to do with a gossip message. */
  | {
    /** The host's name for it. */
    id: Id;
    type: "verdict";
    /** What to do. */
    verdict: Verdict;
  }
  /** Connect to a peer and stay connected. */
  | {
    /** Where it was last known to listen; may be empty. */
    addresses: (AddressHex)[];
    /** The peer. */
    peer: Peer;
    type: "dial";
  }
  /** No session needs this peer any more: the connection may be pruned. */
  | {
    /** The peer. */
    peer: Peer;
    type: "release";
  }
  /** Close all connections to this peer and accept none, until `unban`. */
  | {
    /** The peer. */
    peer: Peer;
    type: "ban";
  }
  /** Accept connections to this peer again. */
  | {
    /** The peer. */
    peer: Peer;
    type: "unban";
  }
  /** Look for records under this key in the DHT. */
  | {
    /** The DHT key. */
    key: string;
    /** The node's name for the lookup. */
    operation: Id;
    type: "lookup";
  }
  /** Store an offered record, for others to find. */
  | {
    /** The host's name for it. */
    id: Id;
    /** For how long. */
    lifetime_ms: number;
    type: "accept-record";
    /** The value to store. */
    value: Hex;
  }
  /** Remove a record that was stored for others. */
  | {
    /** The DHT key. */
    key: string;
    type: "remove-record";
  }
  /** Do not store an offered record. */
  | {
    /** The host's name for it. */
    id: Id;
    /** Why. */
    refusal: Refusal;
    type: "reject-record";
  }
  /**
   * Put this record into the DHT. Where this node itself stores another value under the key, what it stores is the
   * call `merge-own` of both.
   */
  | {
    /** The DHT key. */
    key: string;
    /** For how long it is valid. */
    lifetime_ms: number;
    type: "store";
    /** The value. */
    value: Hex;
  }
  /** Tell the embedder. */
  | {
    /** What has happened. */
    event: Event;
    type: "event";
  };

/** With what a node begins. */
export type Params = {
  /** How the node behaves, where it differs from the defaults. */
  config?: Settings;
  /** The network that the keys belong to. */
  network: Network;
  /** This node's name on the network. */
  peer: Peer;
  /** What gets in without the embedder being asked, and what does not. */
  policy?: Policy;
  /** The journal: each key with its newest value. */
  records?: ([Hex, Hex])[];
  /**
   * The key that signs the sessions, when it is not the secret that the machine is given. That secret then signs
   * messages only; what the signing key signs is asked for by the output `sign`.
   */
  signing_key?: 
    | Key
    | null;
};

/** A partial signature: 32 bytes in hexadecimal. */
export type PartialHex = string;

/** How an output is spent: by the session's key, or by a script that the node has not seen. */
export type Path = "key" | "script";

/** A peer's name on the network, in base58: for libp2p its peer id. */
export type Peer = string;

/** Where a session stands. */
export type Phase = "announced" | "nonce-exchange" | "partial-signature-exchange" | "waiting" | "failed" | "complete" | "aborted" | "expired";

/** What gets in without asking, and what does not. */
export type Policy = {
  /** These peers may not talk to the node. */
  refused_peers?: (Peer)[];
  /**
   * What becomes of a session that another signer asks for: what the first rule says that fits. Where none fits,
   * the embedder is asked.
   */
  rules?: (Rule)[];
};

/** How much of something is allowed over time. */
export type QuotaSetting = {
  /** How much at once. At zero nothing is let in. */
  burst: number;
  /** After how many nanoseconds there is one more. */
  every_ns: number;
};

/** Whose an output is, as far as a node knows. */
export type Recipient = 
  /** The group's. */
  | {
    type: "group";
  }
  /** One signer's alone. */
  | {
    /** The signer. */
    key: Key;
    type: "signer";
  }
  /** Whoever holds the address. */
  | {
    type: "other";
  }
  /** Nobody's: it carries data, and its value is lost. */
  | {
    type: "nobody";
  };

/** Why something from outside was not taken. */
export type Refusal = "oversized" | "blacklisted" | "graylisted" | "peer-quota" | "total-quota" | "author-quota" | "record-quota" | "malformed" | "not-canonical" | "version" | "network" | "channel" | "duplicate" | "echo" | "not-fresh" | "signature" | "delegation" | "delegation-time" | "not-a-signer" | "not-for-me" | "definition" | "not-the-creator" | "stale-attempt" | "attempt" | "sequence-gap" | "equivocation" | "final-signature" | "ended" | "full" | "requests" | "policy" | "offer" | "record-key" | "not-as-listed" | "protocol" | "invalid" | "unasked";

/** Something that a signer announces. */
export type Resource = {
  /** The data; none when it was withdrawn. */
  data?: 
    | Hex
    | null;
  /** From when on it is void. */
  expires_at_ms: number;
  /** Which one. */
  id: ResourceId;
  /** When it was signed. */
  issued_at_ms: number;
};

/** Names a resource: whose, of which kind, called what. */
export type ResourceId = {
  /** Who announces it. */
  author: Key;
  /** Of which kind. */
  kind: Name;
  /** Called what. */
  name: Name;
};

/**
 * A rule on sessions that other signers ask for. It fits when all of its conditions do; what is not said is no
 * condition.
 */
export type Rule = {
  /** What is done. */
  action: Action;
  /** Only transactions that pay nobody but the group and these addresses. */
  addresses?: (string)[] | null;
  /** Only sessions that one of these asks for. */
  creators?: (Key)[] | null;
  /** Only sessions of one of these kinds. */
  kinds?: (TransactionType)[] | null;
  /** Only transactions that spend no more than this of the group's money, in satoshi: what leaves it, and the fee. */
  max_spent?: number | null;
  /** Only sessions whose signers are all among these. */
  signers?: (Key)[] | null;
};

/** A session's id: 32 bytes in hexadecimal. */
export type Session = string;

/** One session, as this node sees it. */
export type SessionView = {
  /** What signing it does; none of a session that an older version has approved and that has no account. */
  approval?: 
    | Approval
    | null;
  /** The current attempt, from 1. */
  attempt: number;
  /** The key that the final signature of each item verifies under. */
  challenge_keys: (Key)[];
  /** Whose turn it is to broadcast. */
  coordinator?: 
    | Key
    | null;
  /** What it is. */
  definition: Definition;
  /** Its id. */
  id: Session;
  /** Whose nonces of the current attempt are here, in key order; empty once the session has ended. */
  joined: (boolean)[];
  /** Whether a signature may still appear although the session was aborted or has expired. */
  may_complete: boolean;
  /** Where it stands. */
  phase: Phase;
  /** The final signature of each item, once they are known; empty before. */
  signatures: (SignatureHex)[];
  /** What it waits for at this node's own signer, if for anything. */
  signer_owes?: 
    | SignerTask
    | null;
};

/** How a node behaves. What is not said has its default. */
export type Settings = {
  /**
   * How long an advertisement, which says what this node offers to sign, is valid; it is renewed after half of
   * that.
   */
  advertisement_lifetime_ms?: number | null;
  /** How long a coordinator has to broadcast before it is the next one's turn. */
  broadcast_timeout_ms?: number | null;
  /** By how much another node's clock may be wrong. */
  clock_skew_ms?: number | null;
  /**
   * For how long a node with a message key has its signing key delegate to it, which its signer is asked for again
   * after half of that. What is announced is not valid for longer than the delegation.
   */
  delegation_lifetime_ms?: number | null;
  /** How much of everything a node takes and keeps. */
  limits?: LimitSettings;
  /** How long a DHT lookup may take, and a search of the embedder's. */
  lookup_timeout_ms?: number | null;
  /**
   * How long a presence, which says where this node is, is valid; it is renewed after half of that. Presences of
   * others that are valid for longer are refused.
   */
  presence_lifetime_ms?: number | null;
  /** After how long everything that this node announces is put into the DHT again. */
  republish_ms?: number | null;
  /**
   * How many attempts a node begins by itself after failures, each after twice the pause of the one before. Not
   * more than `limits.attempts` in any case.
   */
  retries?: number | null;
  /**
   * How long a session may take from its creation, to the millisecond, by each signer's own clock. One that has
   * ended is remembered for twice `clock_skew` longer. Announcements of sessions that last longer are refused.
   */
  session_timeout_ms?: number | null;
  /** The longest pause between two questions of a session for what is missing. */
  stall_max_ms?: number | null;
  /**
   * After how long without progress a session asks the others for what is missing; doubles each time up to
   * `stall_max`. Also the pause before a failed attempt is followed by another, which doubles too.
   */
  stall_ms?: number | null;
  /**
   * After how long without progress an attempt ends: while nonces are missing it lapses, and whoever approves
   * later, or is back, begins the next one; once this node has signed it has failed.
   */
  stuck_timeout_ms?: number | null;
};

/** What a signature covers. */
export type Sighash = {
  /** The byte behind the signature; on Bitcoin 0 stands for none. */
  byte: number;
  /** In words, what can still change after the signature. */
  leaves_open: string;
  /** Its name, such as `ALL` or `NONE|ANYONECANPAY`. */
  name: string;
};

/** What the signer answers: what was asked for, or an error. */
export type SignReply = 
  /** The public nonces of an attempt. */
  | {
    /** For each item this signer's public nonce. */
    nonces: (NonceHex)[];
    /** The request's slot. */
    slot: Slot;
    type: "nonces";
  }
  /** The partial signatures of an attempt. */
  | {
    /** For each item this signer's partial signature. */
    partials: (PartialHex)[];
    /** The request's slot. */
    slot: Slot;
    type: "partials";
  }
  /** The signature of one key alone. */
  | {
    /** The request's id. */
    id: Bytes32;
    /** The signature. */
    signature: SignatureHex;
    type: "single";
  }
  /** There are no nonces, for this reason. */
  | {
    /** Why. */
    error: SignerError;
    /** The request's slot. */
    slot: Slot;
    type: "no-nonces";
  }
  /** There are no partial signatures, for this reason. */
  | {
    /** Why. */
    error: SignerError;
    /** The request's slot. */
    slot: Slot;
    type: "no-partials";
  }
  /** There is no signature of one key alone, for this reason. */
  | {
    /** Why. */
    error: SignerError;
    /** The request's id. */
    id: Bytes32;
    type: "no-single";
  };

/**
 * Something for the signer to do. An identical request gets the identical answer, for as long as the signer
 * remembers its slot; another one for the same slot is refused.
 */
export type SignRequest = 
  /** Draw the nonces of an attempt. Whoever answers has agreed to sign. */
  | {
    /** The session, whole. */
    definition: Definition;
    /** The session and the attempt. */
    slot: Slot;
    type: "nonces";
  }
  /** Sign with them. Nobody is asked again. */
  | {
    /** For each item of the session the public nonces of all its signers, in key order. */
    nonces: ((NonceHex)[])[];
    /** The session and the attempt. */
    slot: Slot;
    type: "partials";
  }
  /** Sign something with the key alone, outside of every session. */
  | {
    /** Names the request. */
    id: Bytes32;
    /** What is signed. */
    single: Single;
    type: "single";
  }
  /** Wipe the nonces of an attempt that will not be signed. It has no reply. */
  | {
    /** The session and the attempt. */
    slot: Slot;
    type: "forget";
  }
  /** Wipe all nonces: the node has begun anew. It has no reply. */
  | {
    type: "forget-all";
  };

/** A Schnorr signature: 64 bytes in hexadecimal. */
export type SignatureHex = string;

/** Which input of a transaction is signed, and how. */
export type SignedInput = {
  /** The position of the last code separator in the script; only with `script_hash`, and none unless it is said. */
  code_separator?: number | null;
  /** Its place in the transaction, from 0. */
  input: number;
  /** The hash of the script that is run, as the digest has it; without, the output is spent by its key. */
  script_hash?: 
    | Bytes32
    | null;
  /** What the signature covers, as the byte that is appended to it. */
  sighash_type: number;
};

/** Inputs that are signed in one way. */
export type SignedInputs = {
  /** Their places in the transaction, from 0. */
  inputs: (number)[];
  /** How the outputs are spent. */
  path: Path;
  /** What the signatures cover. */
  sighash: Sighash;
};

/** Why a signer refused. */
export type SignerError = "slot-served" | "nonce-spent" | "no-nonce" | "too-many-nonces" | "not-a-signer" | "round-mismatch" | "declined" | "unavailable";

/** What a session waits for at its own signer. */
export type SignerTask = "nonces" | "partials";

/** A signer whose peer is known. */
export type SignerView = {
  /** Whether it is connected. */
  is_connected: boolean;
  /** Its key. */
  key: Key;
  /** Its peer. */
  peer: Peer;
  /** Its reputation with this node, from 0 to 100. */
  reputation: number;
};

/** What is signed. */
export type Signs = 
  /** Bare messages: nobody can say what signing them does. */
  | {
    /** Item by item. */
    messages: (Message)[];
    type: "messages";
  }
  /** Inputs of a transaction. Amounts are satoshi. */
  | {
    /** What is left to whoever mines it. */
    fee: number;
    /** The fee in satoshi per byte, on Bitcoin per virtual byte. */
    fee_rate: string;
    /** What of the inputs is the group's. */
    from_group: number;
    /** What it spends, as the creator says. */
    inputs: (SpentOutput)[];
    /** Before when it is not valid; nothing if it is valid at once. */
    lock_time?: 
      | LockTime
      | null;
    /** What it pays. */
    outputs: (TransactionOutput)[];
    /** Which of the inputs are signed, and how. */
    signed: (SignedInputs)[];
    /** How many bytes it has when it is signed, on Bitcoin virtual bytes. */
    size: number;
    /** The rules that it is signed by, and with them the ledger. */
    suite: Suite;
    /** What of the outputs returns to the group. */
    to_group: number;
    /** The sum of the inputs. */
    total_in: number;
    /** The sum of the outputs. */
    total_out: number;
    /** Its id. */
    txid: string;
    type: "transaction";
  }
  /** A statement of one key. */
  | {
    /** What is stated. */
    message: Message;
    /** What it is for. */
    name: string;
    type: "statement";
  };

/** What one key signs by itself. */
export type Single = 
  /** An input of a transaction. */
  | {
    /** The network that the transaction is for. */
    network: Network;
    /** Which input, and how. */
    signed: SignedInput;
    /** The transaction, and the outputs that it spends. */
    spending: Spending;
    /** The rules, and with them the ledger. */
    suite: Suite;
    /** What the key is changed by. */
    tweak?: Tweak;
    type: "input";
  }
  /** A statement, such as that messages are signed by another key. */
  | {
    /** What it is for. */
    name: Name;
    /** The network that the key belongs to. */
    network: Network;
    /** What is stated. */
    text: Hex;
    type: "statement";
  };

/** The one place where a nonce is used: an attempt of a session. */
export type Slot = {
  /** Which attempt of the session. */
  attempt: number;
  /** The session's id. */
  session: Bytes32;
};

/** A transaction, and everything that the digests of its inputs cover. */
export type Spending = {
  /** Whether the digests are those of Lotus nodes that have not been updated after the network's next upgrade. */
  replay_protection?: boolean;
  /** The outputs that its inputs spend, in order. */
  spent: (Spent)[];
  /** The transaction as it is serialised, without witnesses. */
  transaction: Hex;
};

/** An output that a transaction spends. */
export type Spent = {
  /** Who may spend it. */
  script: Hex;
  /** How much, in satoshi. */
  value: number;
};

/** An output that is spent. */
export type SpentOutput = {
  /** Its address, if it has one. */
  address?: string | null;
  /** Whether it is the session's own. */
  is_group: boolean;
  /** Which output: id of the transaction, colon, its place there. */
  outpoint: string;
  /** Its script, in hexadecimal. */
  script: string;
  /** The input's sequence, which may hold a relative lock. */
  sequence: number;
  /** Its value. */
  value: number;
};

/** A part of the network of which one party can be thought to hold every address. */
export type Subnet = 
  /** The first 24 bits of an IPv4 address. */
  | {
    /** They. */
    prefix: (number)[];
    type: "v4";
  }
  /** The first 48 bits of an IPv6 address. */
  | {
    /** They. */
    prefix: (number)[];
    type: "v6";
  };

/** The rules of aggregation and signing: those of Lotus, or BIP340 with BIP327. */
export type Suite = "lotus" | "bip340";

/** How much a key may have of what strangers share, by what was burned for it. */
export type Tier = "verified" | "institutional";

/** An output that is made. */
export type TransactionOutput = {
  /** Its address, if it has one. */
  address?: string | null;
  /** Whether each of the signatures covers it. One that is not covered can be replaced by any other. */
  is_covered: boolean;
  /** Its script, in hexadecimal. */
  script: string;
  /** What is written behind OP_RETURN, harmless to show, if it is text. */
  text?: string | null;
  /** Whose it is. */
  to: Recipient;
  /** Its value. */
  value: number;
};

/** What a signer signs for. */
export type TransactionType = "spend" | "swap" | "coinjoin" | "custody" | "escrow" | "channel";

/** What the aggregate key is changed by before it signs. */
export type Tweak = 
  /** Nothing. */
  | {
    type: "none";
  }
  /** The commitment of a Taproot output whose internal key is the aggregate key. */
  | {
    /** The root of the script tree; none for an output that can be spent by its key only. */
    merkle_root?: 
      | Bytes32
      | null;
    type: "taproot";
  };

/** What makes a signature more, or something else, than the payment that is shown. */
export type Unusual = "opaque" | "sighash-none" | "sighash-single" | "anyone-can-pay" | "script-path" | "pays-signer";

/** What becomes of a gossip message. */
export type Verdict = 
  /** Pass it on. */
  | "accept"
  /** Drop it; nobody is to blame. */
  | "ignore"
  /** Drop it; the peer that passed it on should have known better. */
  | "reject";

/** A node's state. */
export type View = {
  /** What other signers offer, by key. */
  advertisements: ([Key, Advertisement])[];
  /** The connected peers. */
  connected: (Peer)[];
  /** How many outputs wait for a record to become durable. */
  held: number;
  /** This node's signing key. */
  key: Key;
  /** The key that signs this node's messages. */
  message_key: Key;
  /** What this node itself offers. */
  offer?: 
    | Offer
    | null;
  /** How often each refusal has happened. */
  refusals: Record<string, number>;
  /** The resources of others. */
  resources: (Resource)[];
  /** All sessions, by id. */
  sessions: (SessionView)[];
  /** The signers whose peers are known, by key. */
  signers: (SignerView)[];
};
