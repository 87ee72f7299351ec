import { MeshError } from "../../errors.ts";
import type { EpochMs, Host } from "../../host.ts";
import type { SpireEntry } from "../../spire/spire.ts";
import type { Changes } from "./changes.ts";
import { FollowedFile } from "./followed-file.ts";
import { requireDnsName } from "./dns-name.ts";
import { parseSpiffeId, requireMember, requireWorkload, whyNoTrustDomain } from "./identity.ts";

/** An entry as the server keeps it. */
export interface HeldEntry extends SpireEntry {
  /** How often it was updated. */
  readonly revision: number;
  readonly createdAt: EpochMs;
}

/** What an entry must have; the rest is as SPIRE has it by default. */
export type NewEntry = Pick<SpireEntry, "spiffeId" | "parentId" | "selectors"> & Partial<SpireEntry>;

const HINT_CHARACTERS_MAX = 1024;
const ENTRY_ID = /^[A-Za-z0-9._-]{1,255}$/;

/** The registration entries of the server, in a JSON file that may be edited while it runs. */
export class Entries implements AsyncDisposable {
  readonly #host: Host;
  readonly #trustDomain: string;
  readonly #changes: Changes;
  readonly #file: FollowedFile;
  readonly #byId = new Map<string, HeldEntry>();
  readonly #bySubject = new Map<string, HeldEntry>();
  /** By id; undefined after a change. */
  #sorted: readonly HeldEntry[] | undefined;

  constructor(host: Host, trustDomain: string, path: string, changes: Changes) {
    this.#host = host;
    this.#trustDomain = trustDomain;
    this.#changes = changes;
    this.#file = new FollowedFile(host, path, (text) => this.#read(text));
  }

  /** Resolves when the file has been read. */
  follow(): Promise<void> {
    return this.#file.follow();
  }

  /** In the order of their ids, as pages give them. */
  all(): readonly HeldEntry[] {
    this.#sorted ??= [...this.#byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    return this.#sorted;
  }

  /** Those that have not expired. */
  valid(): readonly HeldEntry[] {
    const now = this.#host.clock.now();
    return this.all().filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now);
  }

  get(id: string): HeldEntry | undefined {
    return this.#byId.get(id);
  }

  /** One with the same identity, parent and selectors. */
  similar(entry: NewEntry): HeldEntry | undefined {
    return this.#bySubject.get(subjectOf(entry));
  }

  /** Adds entries, or puts them in the place of those with the same id. @throws MeshError `invalid`, and changes nothing then. */
  put(...entries: readonly NewEntry[]): readonly HeldEntry[] {
    const held = entries.map((entry) => this.#held(entry));
    for (const entry of held) this.#set(entry);
    void this.#touched();
    return held;
  }

  /** Forgets those with these ids. */
  remove(...ids: readonly string[]): void {
    for (const id of ids) this.#delete(id);
    void this.#touched();
  }

  /** Resolves when the file has what was said. */
  saved(): Promise<void> {
    return this.#save();
  }

  /** Reads what the file says now, and resolves when that holds. */
  look(): Promise<void> {
    return this.#file.look();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }

  #held(entry: NewEntry): HeldEntry {
    const before = entry.id === undefined ? undefined : this.#byId.get(entry.id);
    const whole: HeldEntry = {
      id: entry.id === undefined || entry.id === "" ? newId(this.#host) : entry.id,
      spiffeId: entry.spiffeId,
      parentId: entry.parentId,
      selectors: [...entry.selectors].sort(),
      x509SvidTtlSeconds: entry.x509SvidTtlSeconds ?? 0,
      federatesWith: entry.federatesWith ?? [],
      admin: entry.admin ?? false,
      downstream: entry.downstream ?? false,
      expiresAt: entry.expiresAt,
      dnsNames: [...(entry.dnsNames ?? [])].sort(),
      hint: entry.hint ?? "",
      revision: before === undefined ? 0 : before.revision + 1,
      createdAt: before?.createdAt ?? this.#host.clock.now(),
    };
    this.#check(whole);
    return whole;
  }

  #check(entry: HeldEntry): void {
    const { id, spiffeId, parentId, selectors, hint } = entry;
    if (!ENTRY_ID.test(id)) throw invalid("entry ID contains invalid characters");
    named("invalid parent ID", () => requireMember(this.#trustDomain, parseSpiffeId(parentId)));
    named("invalid spiffe ID", () => requireWorkload(this.#trustDomain, parseSpiffeId(spiffeId)));
    if (selectors.length === 0) throw invalid("selector list is empty");
    for (const selector of selectors) requireSelector(selector);
    named("invalid DNS name", () => entry.dnsNames.forEach(requireDnsName));
    for (const name of entry.federatesWith) requireTrustDomain(name);
    if (entry.x509SvidTtlSeconds < 0) throw invalid("X509SvidTtl is not set");
    if (hint.length > HINT_CHARACTERS_MAX)
      throw invalid(`hint is too long, max length is ${HINT_CHARACTERS_MAX} characters`);
  }

  /** An entry in the file may lack what it does not need; one without an id gets one, which is written back. */
  #read(text: string): void {
    const given = entriesIn(text);
    const kept = given.map((entry) => this.#unchanged(entry) ?? this.#held(entry));
    for (const id of this.#byId.keys()) this.#delete(id);
    for (const entry of kept) this.#set(entry);
    this.#told();
    if (given.some(({ id }) => id === undefined || id === "")) void this.#save();
  }

  #unchanged(entry: NewEntry): HeldEntry | undefined {
    const before = entry.id === undefined ? undefined : this.#byId.get(entry.id);
    return before !== undefined && textOf(before) === textOf(entry) ? before : undefined;
  }

  #set(entry: HeldEntry): void {
    this.#delete(entry.id);
    this.#byId.set(entry.id, entry);
    this.#bySubject.set(subjectOf(entry), entry);
  }

  #delete(id: string): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    this.#byId.delete(id);
    if (this.#bySubject.get(subjectOf(entry)) === entry) this.#bySubject.delete(subjectOf(entry));
  }

  #told(): void {
    this.#sorted = undefined;
    this.#changes.happened();
  }

  #touched(): Promise<void> {
    this.#told();
    return this.#save();
  }

  #save(): Promise<void> {
    return this.#file.write(() => `${JSON.stringify({ entries: this.all().map(written) }, undefined, 2)}\n`);
  }
}

const invalid = (why: string): MeshError => new MeshError("invalid", why);

function requireTrustDomain(name: string): void {
  const why = whyNoTrustDomain(name);
  if (why !== undefined) throw invalid(`invalid federated trust domain: ${why}`);
}

/** @throws MeshError `invalid` for a selector that is not `type:value`. */
export function requireSelector(selector: string): void {
  const at = selector.indexOf(":");
  if (at < 0) throw new MeshError("invalid", `selector ${JSON.stringify(selector)} is not type:value`);
  if (at === 0) throw new MeshError("invalid", "missing selector type");
  if (at === selector.length - 1) throw new MeshError("invalid", "missing selector value");
}

/** What no two entries may have in common. */
const subjectOf = ({ spiffeId, parentId, selectors }: NewEntry): string =>
  JSON.stringify([spiffeId, parentId, [...new Set(selectors)].sort()]);

/** What a file says of an entry: neither what the server counts, nor what is as it is by default. */
function written(entry: NewEntry): Record<string, unknown> {
  const facts: readonly (readonly [string, unknown])[] = [
    ["id", entry.id],
    ["spiffeId", entry.spiffeId],
    ["parentId", entry.parentId],
    ["selectors", [...entry.selectors].sort()],
    ["x509SvidTtlSeconds", entry.x509SvidTtlSeconds],
    ["federatesWith", entry.federatesWith],
    ["admin", entry.admin],
    ["downstream", entry.downstream],
    ["expiresAt", entry.expiresAt],
    ["dnsNames", entry.dnsNames],
    ["hint", entry.hint],
  ];
  const usual = (value: unknown): boolean =>
    value === undefined ||
    value === 0 ||
    value === "" ||
    value === false ||
    (Array.isArray(value) && value.length === 0);
  return Object.fromEntries(facts.filter(([, value]) => !usual(value)));
}

const textOf = (entry: NewEntry): string => JSON.stringify(written(entry));

function entriesIn(text: string): readonly NewEntry[] {
  const value: unknown = JSON.parse(text);
  const list = isRecord(value) ? value["entries"] : undefined;
  if (!Array.isArray(list)) throw new MeshError("invalid", `it must be {"entries": [...]}`);
  return list.map((entry: unknown) => {
    if (!isNewEntry(entry))
      throw new MeshError("invalid", "each entry needs a spiffeId, a parentId and selectors, as strings");
    return entry;
  });
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const isNewEntry = (value: unknown): value is NewEntry =>
  isRecord(value) &&
  typeof value["spiffeId"] === "string" &&
  typeof value["parentId"] === "string" &&
  Array.isArray(value["selectors"]) &&
  value["selectors"].every((selector) => typeof selector === "string");

function named<T>(headline: string, task: () => T): T {
  try {
    return task();
  } catch (thrown) {
    throw new MeshError("invalid", `${headline}: ${MeshError.from(thrown).message}`);
  }
}

/** A random UUID. */
function newId({ random }: Pick<Host, "random">): string {
  const bytes = Buffer.from(random.bytes(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
