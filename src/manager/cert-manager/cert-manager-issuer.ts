import { eitherSignal } from "../../either-signal.ts";
import { MeshError, messageOf } from "../../errors.ts";
import type { EpochMs, Host } from "../../host.ts";
import type { KubeApi } from "../../kube/api.ts";
import type { SignedIntermediate } from "../../relay/messages.ts";
import { SparseLog } from "../../sparse-log.ts";
import { timeLimit } from "../../time-limit.ts";
import type { IntermediateOrder, Issuer } from "../issuer.ts";
import { CertificateRequests, isLongAgo, type Issued } from "./certificate-requests.ts";
import { FollowedIssuer } from "./followed-issuer.ts";
import { endOfAbove, isOfUse, issuedAuthority, roomBelow } from "./issued-authority.ts";
import { issuedChain } from "./issued-chain.ts";
import { rootProbe } from "./root-probe.ts";
import { type CertManagerSpec, intermediateRequest, probeRequest, type WantedRequest } from "./wanted-request.ts";

/** cert-manager's own issuers answer within a second or two. Approval may take a person's time, and is never waited out. */
const WAIT_MS = 20_000;
/** Where the root is known already. */
const GLANCE_MS = 2_000;
/** A CA issuer's root is in a Secret that we do not see: it may change with no sign on the issuer itself. */
const ROOT_FRESH_MS = 300_000;
/** A life begins when it is signed, which is later than when it was asked for. */
const MARGIN_MS = 60_000;

interface KnownRoot {
  readonly root: Uint8Array;
  /** When the first of the certificates ends that what is signed hangs on. */
  readonly endsAt: EpochMs;
  /** The uid of the request that showed it. */
  readonly probe: string | undefined;
  readonly at: EpochMs;
  /** `clock.elapsedMs` then. */
  readonly askedMs: number;
  readonly issuerVersion: unknown;
}

/**
 * Intermediates from cert-manager (contract identity.md 4.3, point 1). A Certificate would have their keys made here, from
 * where they would have to travel: what a Certificate makes is made instead, a CertificateRequest with the cluster's own
 * request. Nothing is read or made before it is asked for.
 */
export class CertManagerIssuer implements Issuer {
  readonly title: string;
  /** Requests may name one, and cert-manager passes it over (contract identity.md 4.2, R4). */
  readonly setsNoPathLength = true;
  readonly #host: Host;
  readonly #spec: CertManagerSpec;
  readonly #requests: CertificateRequests;
  readonly #issuer: FollowedIssuer;
  readonly #log: SparseLog;
  readonly #stop = new AbortController();
  #unbounded: string | undefined;
  #known: KnownRoot | undefined;

  /** @param api of the cluster where cert-manager is; it is not closed with the issuer. */
  constructor(host: Host, api: KubeApi, spec: CertManagerSpec) {
    this.#host = host;
    this.#spec = spec;
    this.#requests = new CertificateRequests(host, api, spec);
    this.#issuer = new FollowedIssuer(host, api, spec);
    this.#log = new SparseLog(host.log.scope("ca"), host.clock);
    this.title = `cert-manager's ${this.#issuer.title}`;
  }

  /** What it does otherwise than the policy says. */
  get notes(): readonly string[] {
    return this.#unbounded === undefined ? [] : [this.#unbounded];
  }

  /** As of the last five minutes, or later if there was no answer since: an approver who takes his time changes no root. */
  async roots(signal: AbortSignal): Promise<readonly Uint8Array[]> {
    if (this.#known === undefined || !this.#isFresh(this.#known))
      await this.#within(this.#known === undefined ? WAIT_MS : GLANCE_MS, signal, (over) => this.#look(over));
    return [this.#known!.root];
  }

  async sign(order: IntermediateOrder, signal: AbortSignal): Promise<SignedIntermediate> {
    return this.#within(WAIT_MS, signal, async (over) => {
      await this.#issuer.usable(over);
      const wanted = intermediateRequest(this.#spec, { ...order, lifetimeMs: this.#lifetimeMs(order.lifetimeMs) });
      const issued = await this.#requests.obtain(wanted, (before) => this.#isSpent(before), over);
      const signed = issuedAuthority(issued, this.#issuer.title);
      this.#note(signed, order);
      // Whoever asks for the roots next looks anew.
      if (this.#known !== undefined && !sameBytes(signed.root, this.#known.root))
        this.#known = { ...this.#known, askedMs: -Infinity };
      await this.#tidy(wanted, over);
      return signed;
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#requests.close(), this.#issuer.close()]);
  }

  async #within<T>(limitMs: number, signal: AbortSignal, act: (over: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#stop.signal.aborted) throw new MeshError("unavailable", `${this.title} was closed`);
    using limit = timeLimit(this.#host.clock, limitMs, signal);
    this.#requests.start();
    this.#issuer.start();
    return await act(eitherSignal(limit.signal, this.#stop.signal));
  }

  #isFresh({ askedMs, issuerVersion }: KnownRoot): boolean {
    return this.#host.clock.elapsedMs() - askedMs < ROOT_FRESH_MS && issuerVersion === this.#issuer.version;
  }

  async #look(over: AbortSignal): Promise<void> {
    await this.#issuer.usable(over);
    const wanted = probeRequest(this.#spec, await rootProbe());
    try {
      const issued = await this.#requests.obtain(wanted, (before) => this.#isOldProbe(before), over);
      this.#learn(issued);
      await this.#tidy(wanted, over);
    } catch (thrown) {
      if (this.#known === undefined || !(thrown instanceof MeshError) || thrown.detail["waits"] !== true) throw thrown;
    }
  }

  /** An answer that was late is news all the same. */
  #isOldProbe({ uid, madeAt }: Issued): boolean {
    if (this.#known !== undefined && uid === this.#known.probe) return true;
    if (this.#known !== undefined && madeAt > this.#known.at) return false;
    return isLongAgo(this.#host, madeAt);
  }

  #learn(probe: Issued): void {
    const signed = issuedChain(probe, probe.title, this.#issuer.title);
    this.#known = {
      root: signed.root,
      endsAt: endOfAbove(signed),
      probe: probe.uid,
      at: this.#host.clock.now(),
      askedMs: this.#host.clock.elapsedMs(),
      issuerVersion: this.#issuer.version,
    };
  }

  /** cert-manager lets a certificate outlive what issued it, and such a one is of no use. */
  #lifetimeMs(wantedMs: number): number {
    const restMs = (this.#known?.endsAt ?? Infinity) - this.#host.clock.now() - MARGIN_MS;
    return restMs > 0 ? Math.min(wantedMs, restMs) : wantedMs;
  }

  /** Of a request that was issued before: who asks again must not get for ever what can never be used. */
  #isSpent(issued: Issued): boolean {
    try {
      const signed = issuedAuthority(issued, this.#issuer.title);
      if (this.#known !== undefined && !sameBytes(signed.root, this.#known.root)) return true;
      return !isOfUse(signed, this.#host.clock.now());
    } catch {
      return isLongAgo(this.#host, issued.madeAt);
    }
  }

  #note(signed: SignedIntermediate, { pathLength }: IntermediateOrder): void {
    const bounded = roomBelow(signed) <= pathLength;
    this.#unbounded = bounded ? undefined : pathLengthNote(this.#issuer.title, pathLength);
  }

  async #tidy(wanted: WantedRequest, over: AbortSignal): Promise<void> {
    try {
      await this.#requests.deleteRivals(wanted, over);
    } catch (thrown) {
      this.#log.warn("CertificateRequests that are of no more use could not be deleted", { cause: messageOf(thrown) });
    }
  }
}

const pathLengthNote = (issuer: string, ordered: number): string =>
  `${issuer} sets no path length, so more authorities may follow an intermediate than the ${ordered} of the policy; ` +
  `cert-manager has no field for it, but a CA certificate for that issuer with a path length of ${ordered + 1} bounds it`;

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
