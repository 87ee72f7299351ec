import { makeKeyPair } from "../../ca/key-type.ts";
import type { EpochMs, Host } from "../../host.ts";
import type { SpireAgent } from "../../spire/spire.ts";
import { entriesOf } from "./agent-entries.ts";
import { Changes } from "./changes.ts";
import type { HeldEntry } from "./entries.ts";
import type { Faults } from "./faults.ts";
import type { Minter } from "./minter.ts";

/** What an agent has of one identity. */
export interface HeldSvid {
  readonly entry: HeldEntry;
  /** In DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** PKCS#8 in DER. */
  readonly key: Uint8Array;
  readonly issuedAt: EpochMs;
  readonly expiresAt: EpochMs;
  /** In which state of the server it was signed: another makes another. */
  readonly made: string;
}

/** What an agent has learned from the server, and goes by until it learns more. */
export interface AgentView {
  /** In the order of the ids of their entries. */
  readonly svids: readonly HeldSvid[];
  /** By the name of the trust domain, in DER. */
  readonly bundles: ReadonlyMap<string, readonly Uint8Array[]>;
}

/** What an agent asks of the server. */
export interface AgentServer {
  readonly trustDomain: string;
  readonly minter: Minter;
  /** False while it is stopped. */
  listening(): boolean;
  agent(): SpireAgent | undefined;
  entries(): readonly HeldEntry[];
  /** The trust domain's own bundle and all federated ones. */
  bundles(): Promise<ReadonlyMap<string, readonly Uint8Array[]>>;
  faults(): Faults;
  /** Changes when what older authorities have signed is to be replaced. */
  generation(): number;
}

const LOOK_MS_MAX = 3_600_000;

/** Keeps an agent's SVIDs, as it has those of all its entries before anybody asks, and renews each at half of its life. */
export class AgentCache implements AsyncDisposable {
  readonly changes = new Changes();
  readonly #host: Host;
  readonly #server: AgentServer;
  #view: AgentView = { svids: [], bundles: new Map() };
  #work: Promise<void> = Promise.resolve();
  /** The sync that waits for its turn. */
  #next: Promise<void> | undefined;
  #timer: Disposable | undefined;
  #closed = false;

  constructor(host: Host, server: AgentServer) {
    this.#host = host;
    this.#server = server;
  }

  get view(): AgentView {
    return this.#view;
  }

  /** Resolves when what the server has said so far is known. */
  settled(): Promise<void> {
    return this.#work;
  }

  /** Learns what is new, and resolves when it is known. Without the server, nothing is. */
  sync(): Promise<void> {
    // One that has not begun will learn of this, too.
    this.#next ??= this.#work.then(async () => {
      this.#next = undefined;
      if (this.#closed || !this.#server.listening()) return;
      this.#view = await this.#learned();
      this.#wakeInTime();
      this.changes.happened();
    });
    this.#work = this.#next.catch(() => {});
    return this.#next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    await this.#work;
  }

  async #learned(): Promise<AgentView> {
    const { trustDomain } = this.#server;
    const now = this.#host.clock.now();
    const entries = entriesOf(this.#server.agent(), this.#server.entries(), trustDomain, now);
    const held = new Map(this.#view.svids.map((svid) => [svid.entry.id, svid]));
    const svids: HeldSvid[] = [];
    for (const entry of entries) {
      const before = held.get(entry.id);
      svids.push(before !== undefined && this.#holds(before, entry) ? { ...before, entry } : await this.#make(entry));
    }
    const known = new Set([trustDomain, ...entries.flatMap(({ federatesWith }) => federatesWith)]);
    const bundles = [...(await this.#server.bundles())].filter(([name]) => known.has(name));
    return { svids, bundles: new Map(bundles) };
  }

  #holds({ entry: before, issuedAt, expiresAt, made }: HeldSvid, entry: HeldEntry): boolean {
    return (
      before.revision === entry.revision &&
      before.createdAt === entry.createdAt &&
      made === this.#made() &&
      this.#host.clock.now() < (issuedAt + expiresAt) / 2
    );
  }

  #made(): string {
    return `${this.#server.generation()} ${this.#server.faults().leaf ?? ""}`;
  }

  async #make(entry: HeldEntry): Promise<HeldSvid> {
    const keys = await makeKeyPair("ec-p256");
    const { spiffeId, x509SvidTtlSeconds: ttlSeconds, dnsNames: dns } = entry;
    const publicKey = keys.publicKey.export({ type: "spki", format: "der" });
    const order = { spiffeId, publicKey, ttlSeconds, dns, subject: Buffer.alloc(0) };
    const made = this.#made();
    const { chain, expiresAt } = await this.#server.minter.sign(order, this.#server.faults().leaf);
    const key = keys.privateKey.export({ type: "pkcs8", format: "der" });
    return { entry, chain, key, issuedAt: this.#host.clock.now(), expiresAt, made };
  }

  /** At the next half-life, or when an entry ends. */
  #wakeInTime(): void {
    this.#timer?.[Symbol.dispose]();
    const now = this.#host.clock.now();
    const due = this.#view.svids.flatMap(({ issuedAt, expiresAt, entry }) => [
      (issuedAt + expiresAt) / 2,
      entry.expiresAt ?? Infinity,
    ]);
    const waitMs = Math.min(LOOK_MS_MAX, ...due.map((at) => Math.max(1_000, at - now)));
    this.#timer = this.#host.clock.after(waitMs, () => void this.sync());
  }
}
