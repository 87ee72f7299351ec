import { keyIdOf } from "../../ca/certificate.ts";
import { readCertificate } from "../../ca/certificate-fields.ts";
import { type IntermediateIssuer, makeRoot } from "../../ca/intermediate.ts";
import { rootName } from "../../ca/root-anchor.ts";
import { MeshError } from "../../errors.ts";
import type { Host, Logger } from "../../host.ts";
import { printable } from "../../printable.ts";
import type { Fingerprint, SignedIntermediate } from "../../relay/messages.ts";
import type { IntermediateOrder, Issuer } from "../issuer.ts";
import type { SourceSpec } from "../policy.ts";
import type { TrustStore } from "../store/store.ts";
import { type KeptRoot, keptRoot, parseKeptRoots, toDocument } from "./kept-roots.ts";
import { signedUnder } from "./signed-under.ts";

const DOCUMENT = "causeway-trust-root";
/** Each wants to be trusted by every workload: who asks for more has not let a change of the root end. */
const KEPT_MAX = 8;
/** Of several managers each may be faster once or twice. */
const ATTEMPTS_MAX = 8;

/** When another root is made. */
export interface RootChange {
  /** A value that is not that of the root that signs asks for another one; empty asks for none. */
  readonly rotateRoot: string;
  /** Between 0 and 1: another one is made when less than this part of a root's life is left. */
  readonly graceRatio: number;
}

/**
 * A root of our own, made on first use and kept, with its key, by the trust manager's store. Those that signed before stay,
 * trusted beside it and able to sign, until `retire`: a change of the root takes as long as the last cluster does. A value
 * that asks for one of these turns back to it.
 */
export class GeneratedIssuer implements Issuer {
  readonly title: string;
  readonly #host: Host;
  readonly #log: Logger;
  readonly #store: TrustStore;
  readonly #spec: Extract<SourceSpec, { kind: "generated" }>;
  readonly #change: RootChange;
  /** As they were last: if somebody deletes them, they are put back. */
  #last: readonly KeptRoot[] | undefined;
  /** The one that we said signs. */
  #named: Fingerprint | undefined;
  #full = false;

  constructor(host: Host, store: TrustStore, spec: Extract<SourceSpec, { kind: "generated" }>, change: RootChange) {
    this.title = `the generated root in ${store.titleOf(DOCUMENT)}`;
    this.#host = host;
    this.#log = host.log.scope("trust");
    this.#store = store;
    this.#spec = spec;
    this.#change = change;
  }

  get notes(): readonly string[] {
    const full = `rotate-root asks for another root, and ${KEPT_MAX} are kept already; let the last change of the root end first`;
    const where = `It is kept in ${this.#store.titleOf(DOCUMENT)}: back that up`;
    return this.#full ? [where, full] : [where];
  }

  async roots(signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const [signing, ...former] = await this.#settled(signal);
    this.#named = signing!.sha256;
    const now = this.#host.clock.now();
    return [signing!, ...former.filter(({ notAfter }) => notAfter > now)].map(({ certificate }) => certificate);
  }

  /** Under the root that the order names, else the one that `roots` named last; it makes no other one signing. */
  async sign(order: IntermediateOrder, signal: AbortSignal): Promise<SignedIntermediate> {
    const kept = (await this.#read(signal))?.roots ?? this.#last ?? (await this.#settled(signal));
    const wanted = order.signingRoot ?? this.#named ?? kept[0]!.sha256;
    const root = kept.find(({ sha256 }) => sha256 === wanted);
    if (root !== undefined) return signedUnder(this.#host, issuerOf(this.title, root), order);
    throw new MeshError(
      "unavailable",
      `${this.#store.titleOf(DOCUMENT)} holds root ${wanted.slice(0, 8)} no more; wait for the next order`,
    );
  }

  async retire(roots: readonly Fingerprint[], signal: AbortSignal): Promise<void> {
    await this.#changed(([signing, ...former]) => {
      const staying = former.filter(({ sha256 }) => !roots.includes(sha256));
      return Promise.resolve(
        signing === undefined || staying.length === former.length ? undefined : [signing, ...staying],
      );
    }, signal);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** What is kept, once it is as it is wanted now. */
  #settled(signal: AbortSignal): Promise<readonly KeptRoot[]> {
    return this.#changed((kept) => this.#wanted(kept), signal);
  }

  /** @returns undefined if all is as it should be. */
  async #wanted(kept: readonly KeptRoot[]): Promise<readonly KeptRoot[] | undefined> {
    const [signing, ...former] = kept;
    if (signing === undefined) return [await this.#make()];
    const { rotateRoot } = this.#change;
    const asked = rotateRoot !== "" && rotateRoot !== signing.rotateRoot;
    this.#full = false;
    if (!asked && !this.#isEnding(signing)) return undefined;
    const back = asked ? former.find((root) => root.rotateRoot === rotateRoot && !this.#isEnding(root)) : undefined;
    if (back !== undefined) return [back, ...kept.filter((root) => root !== back)];
    const alive = kept.filter(({ notAfter }) => notAfter > this.#host.clock.now());
    if (alive.length < KEPT_MAX) return [await this.#make(), ...alive];
    this.#full = true;
    return undefined;
  }

  #isEnding({ notBefore, notAfter }: KeptRoot): boolean {
    return notAfter - this.#host.clock.now() < this.#change.graceRatio * (notAfter - notBefore);
  }

  /** It is named for no trust domain: clusters of several may be below it. */
  async #make(): Promise<KeptRoot> {
    const { organization, keyType, lifetimeMs } = this.#spec;
    const shape = { organization, keyType, lifetimeMs, commonName: undefined, trustDomain: undefined };
    const { certificate, privateKey } = await makeRoot(this.#host, shape);
    return keptRoot(certificate, privateKey, this.#change.rotateRoot);
  }

  /** Writes what `change` makes of what is kept, however many others do so at the same time. */
  async #changed(
    change: (kept: readonly KeptRoot[]) => Promise<readonly KeptRoot[] | undefined>,
    signal: AbortSignal,
  ): Promise<readonly KeptRoot[]> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const found = await this.#read(signal);
      const kept = found?.roots ?? this.#last ?? [];
      const next = await change(kept);
      if (next === undefined && found !== undefined) return kept;
      const written = next ?? kept;
      // Nothing was there, and nothing is wanted.
      if (written.length === 0) return written;
      if (await this.#write(written, found?.version, signal)) {
        this.#tell(found === undefined ? [] : kept, written);
        return written;
      }
    }
    throw new MeshError("unavailable", `${this.#store.titleOf(DOCUMENT)} is changed by others all the time; try again`);
  }

  async #read(
    signal: AbortSignal,
  ): Promise<{ readonly roots: readonly KeptRoot[]; readonly version: string } | undefined> {
    const document = await this.#store.read(DOCUMENT, signal);
    if (document === undefined) return undefined;
    const roots = parseKeptRoots(this.#store.titleOf(DOCUMENT), document.data);
    this.#last = roots;
    return { roots, version: document.version };
  }

  /** @returns false if somebody else was faster. */
  async #write(roots: readonly KeptRoot[], version: string | undefined, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#store.write(DOCUMENT, toDocument(roots), version, signal);
      this.#last = roots;
      return true;
    } catch (thrown) {
      if (thrown instanceof MeshError && thrown.code === "conflict") return false;
      throw thrown;
    }
  }

  #tell(before: readonly KeptRoot[], [signing]: readonly KeptRoot[]): void {
    if (before[0]?.sha256 === signing!.sha256) return;
    const fields = {
      root: rootName(signing!.certificate),
      sha256: signing!.sha256.slice(0, 16),
      kept: this.#store.titleOf(DOCUMENT),
      rotateRoot: printable(this.#change.rotateRoot, 80),
    };
    this.#log.info("another generated root signs from now on", fields);
  }
}

const issuerOf = (title: string, { certificate, privateKey }: KeptRoot): IntermediateIssuer => {
  const { subject, publicKey } = readCertificate(certificate);
  return { title, key: { subject, keyId: keyIdOf(publicKey), privateKey }, path: [certificate] };
};
