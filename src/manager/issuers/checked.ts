import { brokenFor, selfIssued } from "../../ca/certificate-audit.ts";
import { pathLength, readCertificate } from "../../ca/certificate-fields.ts";
import { openCertificate } from "../../ca/cacerts.ts";
import { same } from "../../ca/lint-rules.ts";
import { type OpenedCertificate, openedCertificate } from "../../ca/path.ts";
import { MeshError, messageOf } from "../../errors.ts";
import type { EpochMs, Host } from "../../host.ts";
import { printable } from "../../printable.ts";
import type { SignedIntermediate } from "../../relay/messages.ts";
import { timeLimit } from "../../time-limit.ts";
import { untilAborted } from "../../until-aborted.ts";
import type { IntermediateOrder, Issuer } from "../issuer.ts";
import { type Given, INTERMEDIATE_RULES } from "./intermediate-rules.ts";

/** A clock may be ahead of ours by so little that what it dates is waited for. */
const AHEAD_MS_MAX = 10_000;
/** ztunnel takes no more between a leaf and its root (contract identity.md 2.3). */
const CHAIN_MAX = 6;

/** Any issuer, each of whose answers is held to what was ordered before anybody sees it. */
export class CheckedIssuer implements Issuer {
  /** Only of one that makes its own roots. */
  readonly retire?: NonNullable<Issuer["retire"]>;
  readonly #clock: Host["clock"];
  readonly #issuer: Issuer;
  readonly #leafFix: string;
  /** As it said last. */
  #roots: readonly Uint8Array[] = [];

  /** @param leafFix what to do about an issuer of this kind that gives leaves. */
  constructor({ clock }: Pick<Host, "clock">, issuer: Issuer, leafFix: string) {
    this.#clock = clock;
    this.#issuer = issuer;
    this.#leafFix = leafFix;
    if (issuer.retire !== undefined) this.retire = issuer.retire.bind(issuer);
  }

  get title(): string {
    return this.#issuer.title;
  }

  get notes(): readonly string[] {
    return this.#issuer.notes ?? [];
  }

  async roots(signal: AbortSignal): Promise<readonly Uint8Array[]> {
    this.#roots = checkedRoots(this.title, await this.#issuer.roots(signal), this.#clock.now());
    return this.#roots;
  }

  async sign(order: IntermediateOrder, signal: AbortSignal): Promise<SignedIntermediate> {
    const signed = await this.#issuer.sign(order, signal);
    // It may have got another root since it was asked.
    if (!this.#roots.some((root) => same(root, signed.root))) await this.roots(signal);
    await this.#begun(signed, signal);
    const { title, setsNoPathLength } = this.#issuer;
    const judged = { title, setsNoPathLength, leafFix: this.#leafFix, roots: this.#roots, now: this.#clock.now() };
    checkedIntermediate(order, signed, judged);
    return signed;
  }

  close(): Promise<void> {
    return this.#issuer.close();
  }

  /** Resolves once what was signed just now is not of the future, if that is soon: the next one would be no better. */
  async #begun({ chain }: SignedIntermediate, signal: AbortSignal): Promise<void> {
    const aheadMs = beginningOf(chain[0]) - this.#clock.now();
    if (aheadMs <= 0 || aheadMs > AHEAD_MS_MAX) return;
    using limit = timeLimit(this.#clock, aheadMs, signal);
    await untilAborted(limit.signal);
    if (signal.aborted) throw new MeshError("unavailable", `${this.title} was not waited for any longer`);
  }
}

/** 0 for what cannot be read, which the check says better. */
function beginningOf(certificate: Uint8Array | undefined): EpochMs {
  try {
    return certificate === undefined ? 0 : readCertificate(certificate).notBefore;
  } catch {
    return 0;
  }
}

/**
 * What an issuer says that its roots are: the first signs, and one that has ended is none.
 * @throws MeshError `invalid`, naming the issuer and what to do.
 */
export function checkedRoots(title: string, roots: readonly Uint8Array[], now: EpochMs): readonly Uint8Array[] {
  const [signing, ...beside] = roots;
  if (signing === undefined) throw new MeshError("invalid", `${title} names no root; configure one there`);
  const why = roots.map((root) => whyNoRoot(root)).find((reason) => reason !== undefined);
  if (why !== undefined) throw new MeshError("invalid", `${title}: ${why}`);
  const { notBefore, notAfter } = readCertificate(signing);
  const [begins, ends, shown] = [notBefore, notAfter, now].map((time) => new Date(time).toISOString());
  if (notAfter <= now)
    throw new MeshError("invalid", `${title}: its root ended at ${ends}, and the clock here shows ${shown}; renew it`);
  if (notBefore > now)
    throw new MeshError(
      "invalid",
      `${title}: its root begins only at ${begins}, and the clock here shows ${shown}; compare the two clocks`,
    );
  const alive = beside.filter((root) => readCertificate(root).notAfter > now && !same(root, signing));
  return [signing, ...alive.filter((root, at) => alive.findIndex((other) => same(other, root)) === at)];
}

function whyNoRoot(der: Uint8Array): string | undefined {
  try {
    const certificate = openCertificate(der);
    // Node gives undefined for an empty name.
    const subject = certificate.subject as string | undefined;
    const name = `"${printable((subject ?? "").replace(/\n/g, ", "), 200)}"`;
    const fields = readCertificate(der);
    if (!pathLength(fields).ca) return `${name} is no certificate authority (CA:FALSE); take it out of the roots`;
    if (!selfIssued(certificate)) return `${name} is no root, as it did not sign itself; name the root above it`;
    if (pathLength(fields).max === 0) return `root ${name} allows no authority below it; use one with a longer path`;
    const [broken] = brokenFor({ certificate, role: "root", file: "", ...fields });
    return broken && `root ${name} ${broken[0]}; ${broken[1]}`;
  } catch (thrown) {
    return `a root of it cannot be read: ${messageOf(thrown)}`;
  }
}

/** By what an intermediate is judged, beside its order. */
export type CheckContext = Pick<Given, "title" | "leafFix" | "setsNoPathLength" | "roots" | "now">;

/**
 * Holds what came back, from whichever issuer, to the order and to what peers will hold leaves below it to
 * (contract identity.md 4.2, R4). Nothing the issuer says is believed.
 * @throws MeshError `invalid`, with what is wrong and what to do.
 */
export function checkedIntermediate(order: IntermediateOrder, signed: SignedIntermediate, context: CheckContext): void {
  const refuse = (why: string): MeshError =>
    new MeshError("invalid", `${context.title} did not sign what was ordered for cluster ${order.cluster}: ${why}`, {
      cluster: order.cluster,
    });
  const [own, ...between] = opened(signed.chain, refuse);
  if (own === undefined) throw refuse("no certificate came back; look at its own log");
  if (between.length >= CHAIN_MAX)
    throw refuse(
      `${1 + between.length} authorities lead to its root, and ztunnel takes ${CHAIN_MAX}; use a shorter chain`,
    );
  const [root] = opened([signed.root], refuse);
  const above = [...between, root!] as unknown as Given["above"];
  for (const rule of INTERMEDIATE_RULES) {
    const why = broken(rule, { ...context, order, own, above });
    if (why !== undefined) throw refuse(why);
  }
}

function broken(rule: (given: Given) => string | undefined, given: Given): string | undefined {
  try {
    return rule(given);
  } catch (thrown) {
    return `it cannot be read: ${messageOf(thrown)}`;
  }
}

function opened(ders: readonly Uint8Array[], refuse: (why: string) => MeshError): readonly OpenedCertificate[] {
  return ders.map((der, at) => {
    try {
      openCertificate(der);
      return openedCertificate(der);
    } catch (thrown) {
      throw refuse(`certificate ${at + 1} cannot be read: ${messageOf(thrown)}`);
    }
  });
}
