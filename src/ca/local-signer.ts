import type { EpochMs, Host } from "../host.ts";
import type { Collection } from "../registry/collection/collection.ts";
import { Graph } from "../registry/collection/graph.ts";
import { Source } from "../registry/collection/source.ts";
import type { Authority } from "./authority.ts";
import { type CheckedTemplate, signCertificateAside, signsSlowly, type UnlintedCertificate } from "./certificate.ts";
import { keyTypeOf } from "./key-type.ts";
import { LeafMaker } from "./leaf-maker.ts";
import { parseCsr } from "./csr.ts";
import type {
  CsrOrder,
  IssuedSvid,
  Signer,
  SignerDescription,
  SigningRequest,
  SvidChain,
  TrustBundle,
} from "./signer.ts";
import { type TurnLimits, Turns } from "./turns.ts";

/** Of signatures that are made aside. One of RSA 4096 takes some 4 ms, so the last in line waits about 4 seconds. */
const SLOW: TurnLimits = { atOnceMax: 2, waitingMax: 2_000, waitMs: 10_000 };

/** Signs with a key that it holds. */
export class LocalSigner implements Signer {
  readonly #host: Host;
  readonly #trustDomain: string;
  readonly #graph = new Graph();
  readonly #bundles = new Source<string, TrustBundle>(this.#graph, "trust-bundles");
  readonly #turns: Turns;
  #issuer: Issuer;

  constructor(host: Host, authority: Authority, trustDomain: string) {
    this.#host = host;
    this.#trustDomain = trustDomain;
    this.#issuer = this.#issuerOf(authority);
    this.#turns = new Turns(host.clock, SLOW);
    this.#publishRoots();
  }

  get bundles(): Collection<string, TrustBundle> {
    return this.#bundles;
  }

  get expiresAt(): EpochMs {
    return this.#issuer.authority.notAfter;
  }

  describe(): SignerDescription {
    const { authority, leaves } = this.#issuer;
    const { chain, roots, notAfter } = authority;
    const key = keyTypeOf(leaves.publicKey);
    return { kind: "local key", key, trustDomain: this.#trustDomain, notAfter, chain, roots };
  }

  /** Signs with this authority from now on. */
  rotate(authority: Authority): void {
    this.#issuer = this.#issuerOf(authority);
    this.#publishRoots();
  }

  async issue({ identity, csr, ttlSeconds }: CsrOrder, signal: AbortSignal): Promise<IssuedSvid> {
    const request = { identity, publicKey: await parseCsr(csr), ttlSeconds };
    return { chain: await this.sign(request, signal), entries: [] };
  }

  /** For a request that was read. @throws MeshError as `Signer.issue`. */
  async sign(request: SigningRequest, signal: AbortSignal): Promise<SvidChain> {
    signal.throwIfAborted();
    // What is signed, linted and sent along is of one authority, though another may come meanwhile.
    const { authority, leaves, slow } = this.#issuer;
    const now = this.#host.clock.now();
    const leaf = slow
      ? await leaves.makeWith((template) => this.#signInTurn(template, authority, signal), request, now)
      : leaves.make(request, now);
    return [leaf, ...authority.chain];
  }

  /** Few at once, or they would hold up all else that is done on the threads of the pool: files, names, other keys. */
  async #signInTurn(
    template: CheckedTemplate,
    authority: Authority,
    signal: AbortSignal,
  ): Promise<UnlintedCertificate> {
    using _turn = await this.#turns.take();
    signal.throwIfAborted();
    return await signCertificateAside(template, authority);
  }

  #publishRoots(): void {
    const { roots } = this.#issuer.authority;
    this.#bundles.set(this.#trustDomain, { trustDomain: this.#trustDomain, roots });
    this.#graph.flush();
  }

  #issuerOf(authority: Authority): Issuer {
    const leaves = new LeafMaker(authority, this.#trustDomain, this.#host.random);
    return { authority, leaves, slow: signsSlowly(authority) };
  }
}

interface Issuer {
  readonly authority: Authority;
  readonly leaves: LeafMaker;
  /** True if its signatures are made aside. */
  readonly slow: boolean;
}
