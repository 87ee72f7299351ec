import type { EpochMs } from "../host.ts";

/** A registration entry: which identity SPIRE gives to whom (contract identity.md 1.1). */
export interface SpireEntry {
  /** Empty in one that is to be created, for an id of the server's choice. */
  readonly id: string;
  /** With its scheme. */
  readonly spiffeId: string;
  /** An agent, or an alias for several: an identity whose own entry has the server as its parent. */
  readonly parentId: string;
  /** As `k8s:ns:shop`; a workload has to have all of them. */
  readonly selectors: readonly string[];
  /** 0 for the server's default. */
  readonly x509SvidTtlSeconds: number;
  /** Names of trust domains. */
  readonly federatesWith: readonly string[];
  readonly admin: boolean;
  readonly downstream: boolean;
  /** SPIRE's agents write it into a store, and hand it to no workload. */
  readonly storeSvid?: true;
  /** Undefined for never. */
  readonly expiresAt: EpochMs | undefined;
  readonly dnsNames: readonly string[];
  readonly hint: string;
}

/** A node that has proven itself to the server. */
export interface SpireAgent {
  /** With its scheme. */
  readonly id: string;
  /** As `k8s_psat`. */
  readonly attestationType: string;
  /** As `k8s_psat:agent_node_name:worker-1`. */
  readonly selectors: readonly string[];
  readonly banned: boolean;
  readonly expiresAt: EpochMs;
}

/** What verifies the identities of one trust domain, as SPIRE has it. */
export interface SpireBundle {
  readonly trustDomain: string;
  /** In DER. */
  readonly authorities: readonly Uint8Array[];
  /** Those of them that are on their way out. */
  readonly tainted: readonly Uint8Array[];
  readonly sequence: bigint;
  readonly refreshHintSeconds: number;
}

export interface MintedSvid {
  /** In DER, leaf first, root left out; nobody has looked at it yet. */
  readonly chain: readonly Uint8Array[];
  readonly spiffeId: string;
  readonly expiresAt: EpochMs;
}

export interface DownstreamCa {
  /** In DER: the new authority, and those between it and a root. */
  readonly chain: readonly Uint8Array[];
  /** Roots, in DER. */
  readonly authorities: readonly Uint8Array[];
}

export interface EntryFilter {
  readonly spiffeId?: string;
  readonly parentId?: string;
  /** An entry passes that has all of them, and perhaps more. */
  readonly selectors?: readonly string[];
}

/** Of one entry in a batch: what became of it. */
export interface EntryResult {
  /** `absent` is for ids that the server does not know, `conflict` for an entry that is there under another id. */
  readonly why: "created" | "updated" | "deleted" | "conflict" | "absent" | "refused";
  /** The server's words; empty if it did as it was told. */
  readonly message: string;
  /** What is there now; undefined if nothing is. */
  readonly entry: SpireEntry | undefined;
}

/**
 * The API of a SPIRE server, as far as it is used here. Few calls are under way at once, each has 30 s, and none is
 * cancelled once it was sent: a server that loses many callers at a time may never sign again (contract identity.md
 * 1.4). Every method throws MeshError: `unavailable` (the server, or our own SVID to reach it with), `timeout`, `denied`
 * (our identity may not; the message says which entry is missing what), `invalid`, `exhausted`.
 */
export interface SpireServer {
  /** @param csr PKCS#10 in DER. @param signal gives up a call that still waits in line; one that was sent is awaited. */
  mint(csr: Uint8Array, ttlSeconds: number, signal: AbortSignal): Promise<MintedSvid>;
  newDownstreamCa(csr: Uint8Array, preferredTtlSeconds: number): Promise<DownstreamCa>;
  bundle(): Promise<SpireBundle>;
  federatedBundles(): Promise<readonly SpireBundle[]>;
  /** All that pass the filter, page by page; a page that fails throws, and what came before is not all. */
  entries(filter: EntryFilter): AsyncIterable<readonly SpireEntry[]>;
  agents(): Promise<readonly SpireAgent[]>;
  /** In the order of the argument; at most `ENTRIES_AT_ONCE` of them. */
  createEntries(entries: readonly SpireEntry[]): Promise<readonly EntryResult[]>;
  updateEntries(entries: readonly SpireEntry[]): Promise<readonly EntryResult[]>;
  deleteEntries(ids: readonly string[]): Promise<readonly EntryResult[]>;
}

/** The server's own identity; also the parent of entries that are names for several agents at once. */
export const serverIdOf = (trustDomain: string): string => `spiffe://${trustDomain}/spire/server`;

/** Of one batch, and of one page. */
export const ENTRIES_AT_ONCE = 500;

/** An identity with its key, as an agent hands it out. */
export interface AgentSvid {
  /** With its scheme. */
  readonly spiffeId: string;
  /** In DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** PKCS#8 in DER. Never logged. */
  readonly key: Uint8Array;
  readonly hint: string;
}

/** Everything that an agent says at once; each replaces all that it said before. */
export interface AgentSvids {
  /** None if no entry matches the one who asks. */
  readonly svids: readonly AgentSvid[];
  /** By the name of the trust domain: roots in DER. Those of a trust domain that is absent are to be dropped. */
  readonly bundles: ReadonlyMap<string, readonly Uint8Array[]>;
}

export interface AgentEvents {
  said(svids: AgentSvids): void;
  /** The stream ended or could not be had; it is tried again for ever. What was said before still holds. */
  broke(why: Error): void;
}
