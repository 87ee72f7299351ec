import type { Host } from "../../host.ts";
import { type AuthorityShape, newSpireAuthority, type SpireAuthority } from "./authorities.ts";
import type { Changes } from "./changes.ts";

/** What verifies the identities of one trust domain. */
export interface HeldBundle {
  readonly trustDomain: string;
  /** In DER. */
  readonly roots: readonly Uint8Array[];
  readonly tainted: ReadonlySet<Uint8Array>;
  readonly sequence: number;
}

/** Ten years: authorities above SPIRE's own are not rotated here. */
const ABOVE_TTL_SECONDS = 3_650 * 86_400;

/** Who signs, whom the server trusts, and how both change. Keys are in memory alone: with the process, they are gone. */
export class SpireTrust {
  readonly #host: Host;
  readonly #shape: AuthorityShape;
  /** What signs for our own authorities; undefined if they are roots. */
  readonly #parent: SpireAuthority | undefined;
  readonly #changes: Changes;
  readonly #federated = new Map<string, HeldBundle>();
  readonly #tainted = new Set<Uint8Array>();
  /** Oldest first. */
  #published: readonly SpireAuthority[];
  #active: SpireAuthority;
  #sequence = 1;
  #withdrawn = 0;
  #version = 0;
  #timer: Disposable | undefined;

  private constructor(
    host: Host,
    shape: AuthorityShape,
    [parent, first]: readonly [SpireAuthority | undefined, SpireAuthority],
    changes: Changes,
  ) {
    this.#host = host;
    this.#shape = shape;
    this.#parent = parent;
    this.#changes = changes;
    this.#active = first;
    this.#published = [first];
    this.#renewInTime();
  }

  static async create(host: Host, shape: AuthorityShape, changes: Changes): Promise<SpireTrust> {
    let parent: SpireAuthority | undefined;
    const lasting = { ...shape, ttlSeconds: Math.max(shape.ttlSeconds, ABOVE_TTL_SECONDS) };
    for (const pathLength of shape.above) parent = await newSpireAuthority(host, lasting, parent, pathLength);
    return new SpireTrust(host, shape, [parent, await newSpireAuthority(host, shape, parent, undefined)], changes);
  }

  get active(): SpireAuthority {
    return this.#active;
  }

  /** Those whose certificates may still be about. */
  get published(): readonly SpireAuthority[] {
    return this.#published;
  }

  get own(): HeldBundle {
    const roots = [...new Set(this.#published.map(({ root }) => root))];
    return { trustDomain: this.#shape.trustDomain, roots, tainted: this.#tainted, sequence: this.#sequence };
  }

  /** Changes when what an older authority has signed is to be replaced: the older one is on its way out, or gone. */
  get generation(): number {
    return this.#withdrawn;
  }

  /** Grows with each change of any of this. */
  get version(): number {
    return this.#version;
  }

  get federated(): ReadonlyMap<string, HeldBundle> {
    return this.#federated;
  }

  /** Puts another authority in the bundle, which does not sign yet: clients get to know it first. */
  async prepare(): Promise<SpireAuthority> {
    const next = await newSpireAuthority(this.#host, this.#shape, this.#parent, undefined);
    this.#published = [...this.#published, next];
    this.#sequence += 1;
    this.#happened();
    return next;
  }

  /** Has one that was prepared sign from now on. */
  activate(authority: SpireAuthority): void {
    this.#active = authority;
    this.#renewInTime();
    this.#happened();
  }

  /** Another authority signs from now on; the bundle keeps the old one. */
  async rotate(): Promise<void> {
    this.activate(await this.prepare());
  }

  /** Marks all roots but that of the one that signs as on their way out. */
  taintOld(): void {
    for (const { root } of this.#old()) this.#tainted.add(root);
    this.#withdrawn += 1;
    this.#sequence += 1;
    this.#happened();
  }

  /** Takes all roots but that of the one that signs out of the bundle. */
  dropOld(): void {
    for (const { root } of this.#old()) this.#tainted.delete(root);
    this.#published = this.#published.filter(({ root }) => root === this.#active.root);
    this.#withdrawn += 1;
    this.#sequence += 1;
    this.#happened();
  }

  /** @param roots in DER; none for a trust domain that is federated with no more. */
  federate(trustDomain: string, roots: readonly Uint8Array[]): void {
    // SPIRE keeps no sequence number of others (contract identity.md 1.6).
    if (roots.length > 0) this.#federated.set(trustDomain, { trustDomain, roots, tainted: new Set(), sequence: 0 });
    else this.#federated.delete(trustDomain);
    this.#happened();
  }

  close(): void {
    this.#timer?.[Symbol.dispose]();
  }

  #happened(): void {
    this.#version += 1;
    this.#changes.happened();
  }

  /** Those below the same root as the one that signs stay as good as it is. */
  #old(): readonly SpireAuthority[] {
    return this.#published.filter(({ root }) => root !== this.#active.root);
  }

  /** The next one signs at half of the life of this one, which leaves the bundle when it has ended. */
  #renewInTime(): void {
    this.#timer?.[Symbol.dispose]();
    const { clock } = this.#host;
    this.#timer = clock.after(Math.max(1000, (this.#active.notAfter - clock.now()) / 2), () => {
      this.#published = this.#published.filter(({ notAfter }) => notAfter > clock.now());
      void this.rotate();
    });
  }
}
