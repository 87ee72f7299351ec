import type { EpochMs } from "../host.ts";
import type { AgentStatus } from "../spire/agent-api.ts";
import type { ServerStatus } from "../spire/calls.ts";
import type { RegistrationState } from "../spire/registrar.ts";
import { digestOf } from "../spire/status/bundle-checks.ts";
import type { Census } from "../spire/status/census.ts";
import type { SpireCheck } from "../spire/status/check.ts";
import { spireChecks } from "../spire/status/checks.ts";
import type { AuthorityFacts, BundleFacts, PeerFacts, RegistrationFacts, SpireFacts } from "../spire/status/facts.ts";
import { timeText } from "./sync-view.ts";

/** Of lists that may be as long as the mesh is large; counts are always whole. */
const SHOWN_MAX = 100;

/** What a bundle is to whoever compares clusters. Times are RFC 3339, empty if not known. */
export interface BundleView {
  readonly trustDomain: string;
  readonly digest: string;
  /** A number of 64 bits, as text; empty if nobody said one. */
  readonly sequence: string;
  readonly source: string;
  readonly saidAt: string;
  readonly ageSeconds?: number;
  readonly roots: readonly RootView[];
}

interface RootView {
  readonly sha256: string;
  readonly subject: string;
  readonly until: string;
  readonly expiresInSeconds: number;
  readonly tainted: boolean;
}

/** What the page spirez says; what there is nothing to say of is absent. */
export interface SpireStatusView {
  readonly controlPlane: string;
  readonly mode: string;
  readonly trustDomain: string;
  readonly server?: object;
  readonly agent?: object;
  readonly identity?: object;
  readonly authority?: object;
  readonly entries?: object;
  readonly registration?: object;
  readonly bundles: readonly BundleView[];
  readonly peers: readonly object[];
  readonly delegates: readonly object[];
  readonly refusals: readonly object[];
  readonly checks: readonly SpireCheck[];
}

/** How SPIRE and this control plane get on: all that is known of it, and the checks that are made of that. */
export function spireView(facts: SpireFacts, controlPlane: string): SpireStatusView {
  const { now, mode, trustDomain, server, agent, own, authority, census, registration } = facts;
  const parts = {
    ...(server !== undefined && { server: serverView(server) }),
    ...(agent !== undefined && { agent: agentView(agent) }),
    ...(own !== undefined && { identity: { spiffeId: own.spiffeId, until: timeText(own.notAfter) } }),
    ...(authority !== undefined && { authority: authorityView(authority) }),
    ...(census !== undefined && { entries: censusView(census) }),
    ...(registration !== undefined && { registration: registrationView(registration) }),
  };
  return {
    ...{ controlPlane, mode, trustDomain, ...parts },
    bundles: facts.bundles.map((bundle) => bundleView(bundle, now)),
    ...{ peers: facts.peers.map(peerView), delegates: facts.delegates },
    refusals: facts.refused.slice(0, SHOWN_MAX).map(({ at, ...refused }) => ({ at: timeText(at), ...refused })),
    checks: spireChecks(facts),
  };
}

const serverView = ({ server, connected, error, answeredAt, spiffeId, inFlight, waiting }: ServerStatus): object => ({
  ...{ server, reachable: connected ?? null, lastError: error ?? "", answeredAt: timeText(answeredAt ?? 0) },
  ...{ weAre: spiffeId ?? "", callsInFlight: inFlight, callsWaiting: waiting },
});

const agentView = ({ agent, connected, error, saidAt }: AgentStatus): object => ({
  ...{ agent, connected, lastError: error ?? "", saidAt: timeText(saidAt ?? 0) },
});

const authorityView = ({ notAfter, faults }: AuthorityFacts): object => ({
  ...{ until: timeText(notAfter ?? 0), faults },
});

const censusView = ({ at, trouble, shown, ...counts }: Census): object => ({
  ...{ countedAt: timeText(at ?? 0), ...counts, without: shown, trouble: trouble ?? "" },
});

const registrationView = ({ register, state, spiffeIds, uncovered }: RegistrationFacts): object => ({
  ...{ register, ...(state !== undefined && { registrar: registrarView(state) }) },
  templates: spiffeIds.slice(0, SHOWN_MAX).map(({ whyNotMesh, ...template }) => ({
    ...template,
    shape: whyNotMesh === undefined ? "only SPIRE's controller can tell" : whyNotMesh || "of the mesh",
  })),
  uncovered: uncovered.length,
  uncoveredPods: uncovered.slice(0, SHOWN_MAX),
});

const registrarView = ({ waiting, refused, reason, settledAt, ...counts }: RegistrationState): object => ({
  ...{ ...counts, waiting: waiting.length, refused: refused.size, reason: reason ?? "" },
  settledAt: timeText(settledAt ?? 0),
  refusals: Object.fromEntries([...refused].slice(0, SHOWN_MAX)),
});

function bundleView({ trustDomain, roots, sequence, source, saidAt }: BundleFacts, now: EpochMs): BundleView {
  return {
    trustDomain,
    digest: roots.length === 0 ? "" : digestOf(roots.map(({ sha256 }) => sha256)),
    // JSON has no such number.
    sequence: sequence?.toString() ?? "",
    ...{ source, saidAt: timeText(saidAt ?? 0) },
    ...(saidAt !== undefined && { ageSeconds: (now - saidAt) / 1000 }),
    roots: roots.map(({ sha256, subject, notAfter, tainted }) => ({
      ...{ sha256, subject, until: timeText(notAfter), expiresInSeconds: Math.floor((notAfter - now) / 1000), tainted },
    })),
  };
}

const peerView = ({ announced, held, ageMs, ...peer }: PeerFacts): object => ({
  ...{ ...peer, announcedDigest: digestOf(announced), heldDigest: digestOf(held), ageSeconds: ageMs / 1000 },
});
