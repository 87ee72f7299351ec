import { MeshError } from "../../errors.ts";
import type { EpochMs, Host } from "../../host.ts";
import type { SpireEntry } from "../../spire/spire.ts";
import type { Changes } from "./changes.ts";
import { requireDnsName } from "./dns-name.ts";
import { formatEntries, type NewEntry, parseEntries, sameInFile } from "./entries-file.ts";
import { FollowedFile } from "./followed-file.ts";
import { parseSpiffeId, requireMember, requireWorkload, whyNoTrustDomain } from "./identity.ts";

export type { NewEntry };

/** An entry as the server keeps it. */
export interface HeldEntry extends SpireEntry {
  /** How often it was updated. */
  readonly revision: number;
  readonly createdAt: EpochMs;
}

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
    this.#touched();
    return held;
  }

  /** Forgets those with these ids. */
  remove(...ids: readonly string[]): void {
    for (const id of ids) this.#delete(id);
    this.#touched();
  }

  /** Resolves when the file has what was said. */
  saved(): Promise<void> {
    return this.#file.settled();
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
    const given = parseEntries(text);
    const kept = given.map((entry) => this.#unchanged(entry) ?? this.#held(entry));
    for (const id of this.#byId.keys()) this.#delete(id);
    for (const entry of kept) this.#set(entry);
    this.#told();
    if (given.some(({ id }) => id === undefined || id === "")) this.#save();
  }

  #unchanged(entry: NewEntry): HeldEntry | undefined {
    const before = entry.id === undefined ? undefined : this.#byId.get(entry.id);
    return before !== undefined && sameInFile(before, entry) ? before : undefined;
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

  #touched(): void {
    this.#told();
    this.#save();
  }

  #save(): void {
    this.#file.write(() => formatEntries(this.all()));
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
