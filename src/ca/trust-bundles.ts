import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { Collection } from "../registry/collection/collection.ts";
import { Graph } from "../registry/collection/graph.ts";
import { Source } from "../registry/collection/source.ts";
import { formatServiceAccountId, parseServiceAccountId, type ServiceAccountId } from "../spiffe.ts";
import type { HandshakeRole, Trust, TrustAnchors, VerifiedIdentity } from "../trust.ts";
import type { RevocationList } from "./crl.ts";
import { type OpenedCertificate, openedCertificate, type PathCheck, pathTo } from "./path.ts";
import { Revocations } from "./revocations.ts";
import type { TrustBundle } from "./signer.ts";
import { uriNames } from "./certificate-fields.ts";

/** The roots of our own authority are what this source has offered for our own trust domain. */
const AUTHORITY = "authority";

/** In a message. */
const NAMED_MAX = 3;

/** By source. */
type Offers = ReadonlyMap<string, readonly TrustAnchors[]>;

/** Every trust domain's roots, each set apart from the others. */
export class TrustBundles implements Trust {
  readonly #own: string;
  readonly #graph = new Graph();
  readonly #bundles = new Source<string, TrustBundle>(this.#graph, "trust-bundles");
  #offers: Offers = new Map();
  #ownRoots: readonly Uint8Array[] = [];
  readonly #open = new WeakMap<Uint8Array, OpenedCertificate>();
  #revocations = new Revocations();
  #anchors: ReadonlyMap<string, readonly OpenedCertificate[]> = new Map();

  /** Many trust domains may have one root: it is read once. */
  readonly #opened = (root: Uint8Array): OpenedCertificate => {
    const known = this.#open.get(root);
    if (known !== undefined) return known;
    const opened = openedCertificate(root);
    this.#open.set(root, opened);
    return opened;
  };

  /** @param trustDomain our own. */
  constructor(trustDomain: string) {
    this.#own = trustDomain;
  }

  /** By trust domain; only those that have a root. */
  get bundles(): Collection<string, TrustBundle> {
    return this.#bundles;
  }

  /** Of our own authority alone. */
  get ownRoots(): readonly Uint8Array[] {
    return this.#ownRoots;
  }

  get pooledRoots(): readonly Uint8Array[] {
    return distinctRoots([...this.#bundles.entries()].flatMap(([, { roots }]) => roots));
  }

  /** What others than our own authority have offered, whomever for, each once. */
  get offeredRoots(): readonly Uint8Array[] {
    const others = [...this.#offers].flatMap(([source, anchors]) => (source === AUTHORITY ? [] : anchors));
    return distinctRoots(others.flatMap(({ roots }) => (roots === "own" ? [] : roots)));
  }

  /** True if this source vouches for a trust domain, and nobody else does. */
  isOnlyFrom(source: string, trustDomain: string): boolean {
    const vouches = (anchors: readonly TrustAnchors[]): boolean =>
      anchors.some((one) => one.trustDomain === trustDomain && one.roots.length > 0);
    const sources = [...this.#offers].flatMap(([name, anchors]) => (vouches(anchors) ? [name] : []));
    return sources.length > 0 && sources.every((name) => name === source);
  }

  rootsOf(trustDomain: string): readonly Uint8Array[] {
    return this.#bundles.get(trustDomain)?.roots ?? [];
  }

  /** The roots of our own authority, from now on, and what is revoked. */
  setOwn(roots: readonly Uint8Array[], revocations: readonly RevocationList[] = []): void {
    this.#ownRoots = roots;
    this.#revocations = new Revocations(revocations);
    this.offer(AUTHORITY, [{ trustDomain: this.#own, roots }]);
  }

  /** @throws MeshError or Error if a root cannot be read; nothing is changed then. */
  offer(source: string, anchors: readonly TrustAnchors[]): void {
    this.#settle(new Map(this.#offers).set(source, anchors));
  }

  /** Makes the sources under `prefix` exactly these, in one change. @throws as `offer`. */
  replace(prefix: string, offers: Iterable<readonly [source: string, anchors: readonly TrustAnchors[]]>): void {
    const others = [...this.#offers].filter(([source]) => !source.startsWith(prefix));
    this.#settle(new Map([...others, ...offers]));
  }

  #settle(offers: Map<string, readonly TrustAnchors[]>): void {
    for (const [source, anchors] of offers) if (anchors.length === 0) offers.delete(source);
    const bundles = bundlesOf(offers);
    this.#anchors = new Map(bundles.map(({ trustDomain, roots }) => [trustDomain, roots.map(this.#opened)]));
    this.#offers = offers;
    this.#bundles.replace(
      "",
      bundles.map((bundle) => [bundle.trustDomain, bundle] as const),
    );
    this.#graph.flush();
  }

  observe(observer: () => void): Disposable {
    return this.#bundles.observe(observer);
  }

  verify(chain: readonly Uint8Array[], role: HandshakeRole, now: EpochMs): VerifiedIdentity {
    let whose = "";
    try {
      const shown = chain.map(openedCertificate);
      const identity = identityOf(shown);
      whose = ` of ${formatServiceAccountId(identity)}`;
      const check = { role, now, revocations: this.#revocations };
      const path = pathTo(this.#anchors.get(identity.trustDomain) ?? [], shown, check);
      if (path.why === undefined) return { identity, expiresAt: path.expiresAt };
      const others = this.#whoElse(shown, check);
      throw new Error(others.length === 0 ? path.why : `its root vouches for trust domain ${inFew(others)} only`);
    } catch (thrown) {
      const message = `the ${role} certificate${whose} proves nobody: ${messageOf(thrown)}`;
      throw new MeshError("unauthenticated", message, {}, { cause: thrown });
    }
  }

  /** The trust domains for whose roots the chain would be good: what an operator most likely got wrong. */
  #whoElse(shown: readonly OpenedCertificate[], check: PathCheck): readonly string[] {
    const roots = new Set([...this.#anchors.values()].flat());
    const good = new Set([...roots].filter((root) => pathTo([root], shown, check).why === undefined));
    return [...this.#anchors].flatMap(([name, anchors]) => (anchors.some((root) => good.has(root)) ? [name] : []));
  }
}

function inFew(names: readonly string[]): string {
  const more = names.length - NAMED_MAX;
  return more > 0 ? `${names.slice(0, NAMED_MAX).join(", ")} and ${more} others` : names.join(" and ");
}

/** What all of them say of each trust domain, added up. */
function bundlesOf(offers: Offers): readonly TrustBundle[] {
  const own = (offers.get(AUTHORITY) ?? []).flatMap(({ roots }) => (roots === "own" ? [] : roots));
  const found = new Map<string, Uint8Array[]>();
  for (const { trustDomain, roots } of [...offers.values()].flat())
    found.set(trustDomain, [...(found.get(trustDomain) ?? []), ...(roots === "own" ? own : roots)]);
  return [...found].flatMap(([trustDomain, roots]) =>
    roots.length === 0 ? [] : [{ trustDomain, roots: distinctRoots(roots) }],
  );
}

/** The one name of a leaf. @throws MeshError `unauthenticated` or `invalid` */
function identityOf([leaf]: readonly OpenedCertificate[]): ServiceAccountId {
  if (leaf === undefined) throw new MeshError("unauthenticated", "none was shown");
  const [uri, ...more] = uriNames(leaf.fields);
  if (uri === undefined || more.length > 0) throw new MeshError("unauthenticated", "it has not exactly one URI name");
  return parseServiceAccountId(uri);
}

/** Each once, in the order in which they come first. */
export function distinctRoots(roots: readonly Uint8Array[]): readonly Uint8Array[] {
  return [...new Map(roots.map((root) => [Buffer.from(root).toString("base64"), root])).values()];
}
