import { MeshError } from "../errors.ts";
import type { EpochMs, Host, Logger } from "../host.ts";
import { printable } from "../printable.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { AgentEvents, AgentSvid, AgentSvids } from "../spire/spire.ts";
import { HeldSvid, type IdentityKeeper, textOf } from "./held-svid.ts";
import { checkedSpireSvid, type ExpectedIdentity, type Svid } from "./svid.ts";

/** Begins to follow what SPIRE's agent says of us; disposing of it ends that. */
export type FollowSpire = (events: AgentEvents) => Disposable;

/** Agents renew at half of a life, a tenth more or less (contract identity.md 1.2): by then something is wrong. */
const LATE_SHARE = 0.75;
/** The wall clock can jump, and timers stand still while a machine sleeps. */
const LOOK_MS = 60_000;
const NAMED_MAX = 5;

const SPIRE = {
  none: "there is no identity from SPIRE yet",
  silent: "its agent has not answered",
  late: "SPIRE's agent has given no other",
};

/**
 * Keeps us the identity that SPIRE gives us, each new one as soon as its agent says it. What we have is shown until it
 * ends, whatever the agent says or does not say meanwhile: an entry that is gone may be back, and nobody else is asked.
 * No I/O.
 */
export class SpireKeeper implements IdentityKeeper {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #ours: ExpectedIdentity;
  readonly #follow: FollowSpire;
  readonly #onSvid: (svid: Svid) => void;
  readonly #held: HeldSvid;
  #following: Disposable | undefined;
  #timer: Disposable | undefined;
  #saidLate = false;
  #closed = false;

  /** @param onSvid called with each one that is another than before. */
  constructor(host: Host, ours: ExpectedIdentity, follow: FollowSpire, onSvid: (svid: Svid) => void) {
    this.#host = host;
    this.#log = host.log.scope("gateway");
    this.#ours = ours;
    this.#follow = follow;
    this.#onSvid = onSvid;
    this.#held = new HeldSvid(host, SPIRE);
  }

  get svid(): Svid | undefined {
    return this.#held.svid;
  }

  whyNone(): string | undefined {
    return this.#held.whyNone();
  }

  /** Begins. The agent speaks whenever it has something to say: there is nothing to ask it again. */
  renew(): void {
    if (this.#closed) return;
    this.#following ??= this.#follow({
      said: (said) => this.#said(said),
      broke: (why) => this.#broke(MeshError.from(why)),
    });
  }

  close(): void {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    this.#following?.[Symbol.dispose]();
  }

  #said(said: AgentSvids): void {
    if (this.#closed) return;
    try {
      this.#take(this.#svidOf(said));
    } catch (thrown) {
      this.#failed(MeshError.from(thrown).message);
    }
  }

  #broke({ code, message }: MeshError): void {
    // Entries and delegates are named by identities.
    if (!this.#closed) this.#failed(code === "denied" ? `${message}; we are ${this.#wanted}` : message);
  }

  #svidOf({ svids, bundles }: AgentSvids): Svid {
    const found = svids.map((svid) => ({ svid, trustDomain: trustDomainIn(svid, this.#expected) }));
    const mine = found.flatMap(({ svid, trustDomain }) => (trustDomain === undefined ? [] : [{ svid, trustDomain }]));
    if (mine.length === 0) throw new MeshError("denied", this.#whyNotMine(svids));
    let refusal: unknown;
    for (const { svid, trustDomain } of mine) {
      try {
        return checkedSpireSvid(svid, bundles.get(trustDomain) ?? [], this.#expected, this.#host.clock.now());
      } catch (thrown) {
        // The first is the one that the agent means us to show.
        refusal ??= thrown;
      }
    }
    throw refusal;
  }

  /** A trust domain that we were not told is that of the first identity, and stays. */
  get #expected(): ExpectedIdentity {
    return { ...this.#ours, trustDomain: this.#ours.trustDomain ?? this.svid?.trustDomain };
  }

  get #wanted(): string {
    const { trustDomain = "<trust domain>" } = this.#expected;
    return formatServiceAccountId({ ...this.#ours, trustDomain });
  }

  #whyNotMine(svids: readonly AgentSvid[]): string {
    if (svids.length === 0)
      return (
        `SPIRE's agent has no identity for us: no registration entry for ${this.#wanted} matches; make one, ` +
        "with selectors that our pod has and this node's agent as its parent, or a ClusterSPIFFEID that selects our pod"
      );
    const others = svids.slice(0, NAMED_MAX).map(({ spiffeId }) => printable(spiffeId, 300));
    if (svids.length > NAMED_MAX) others.push(`${svids.length - NAMED_MAX} more`);
    return (
      `SPIRE's agent says that we are ${others.join(", ")}, and we are ${this.#wanted}: ` +
      "look at the entries whose selectors our pod has, and at the trust domain of SPIRE's and of the mesh's"
    );
  }

  #take(svid: Svid): void {
    const before = this.#held.svid;
    if (before?.chain === svid.chain && before.key === svid.key) {
      if (this.#held.failure !== undefined) this.#log.info("SPIRE's agent gives us our identity again");
      this.#held.recovered();
      return;
    }
    this.#held.take(svid);
    this.#saidLate = false;
    const { spiffeId, notAfter } = svid;
    this.#log.info("we have an identity from SPIRE", { spiffeId, until: textOf(notAfter) });
    this.#look();
    this.#onSvid(svid);
  }

  #failed(why: string): void {
    const again = this.#held.failure === why;
    this.#held.failed(why);
    if (!again) this.#log.error(`no new identity from SPIRE: ${why}`, { until: this.#held.until });
  }

  /** Looks at the identity that we have until it has ended. */
  #look(): void {
    this.#timer?.[Symbol.dispose]();
    const { clock } = this.#host;
    const now = clock.now();
    const { notBefore, notAfter } = this.#held.svid!;
    const lateAt = notBefore + (notAfter - notBefore) * LATE_SHARE;
    if (now >= lateAt) this.#tellLate(notAfter);
    this.#held.tellEnd();
    if (now >= notAfter) return;
    const next = now < lateAt ? lateAt : notAfter;
    this.#timer = clock.after(Math.min(next - now, LOOK_MS), () => this.#look());
  }

  #tellLate(notAfter: EpochMs): void {
    if (this.#saidLate) return;
    this.#saidLate = true;
    const why = this.#held.failure ?? "look at its log, and whether it reaches SPIRE's server";
    this.#log.error(`SPIRE's agent has not renewed our identity: ${why}`, { until: textOf(notAfter) });
  }
}

/** Of an identity that is ours, to the letter; undefined of any other. */
function trustDomainIn({ spiffeId }: AgentSvid, expected: ExpectedIdentity): string | undefined {
  const [, named] = /^spiffe:\/\/([^/]+)\//.exec(spiffeId) ?? [];
  const trustDomain = expected.trustDomain ?? named;
  if (trustDomain === undefined || spiffeId !== formatServiceAccountId({ ...expected, trustDomain })) return undefined;
  return trustDomain;
}
