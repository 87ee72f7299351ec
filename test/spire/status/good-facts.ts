import type { EpochMs } from "../../../src/host.ts";
import type { AgentStatus } from "../../../src/spire/agent-api.ts";
import type { ServerStatus } from "../../../src/spire/calls.ts";
import type { RegistrationState } from "../../../src/spire/registrar.ts";
import type { Census } from "../../../src/spire/status/census.ts";
import type { BundleFacts, PeerFacts, RootFacts, SpireFacts } from "../../../src/spire/status/facts.ts";

/** 2026-11-21T06:00:00Z */
export const NOW: EpochMs = Date.UTC(2026, 10, 21, 6);
const HOUR = 3_600_000;
const ADMIN = "spiffe://east.test/ns/istio-system/sa/istiod";

export const server = (more: Partial<ServerStatus> = {}): ServerStatus => ({
  ...{ server: "SPIRE's server at 10.9.0.1:8081", connected: true, error: undefined, answeredAt: NOW - 3_000 },
  ...{ spiffeId: ADMIN, inFlight: 2, waiting: 0 },
  rights: new Map([["ListEntries", { role: "admin", at: NOW - 40_000, denied: undefined }]]),
  ...more,
});

export const agent = (more: Partial<AgentStatus> = {}): AgentStatus => ({
  ...{
    agent: "SPIRE's agent at unix:/run/spire/agent.sock",
    connected: true,
    error: undefined,
    saidAt: NOW - 1_200_000,
  },
  ...more,
});

export const root = (letter: string, more: Partial<RootFacts> = {}): RootFacts => ({
  ...{ sha256: letter.repeat(64), subject: `CN=root ${letter}`, notBefore: NOW - 2 * HOUR, notAfter: NOW + 22 * HOUR },
  ...{ tainted: false, ...more },
});

export const bundle = (more: Partial<BundleFacts> = {}): BundleFacts => ({
  ...{ trustDomain: "east.test", roots: [root("a")], sequence: 7n, source: "SPIRE's server", saidAt: NOW - 3_000 },
  ...{ refused: undefined, unread: undefined, ...more },
});

/** It and we agree. */
export const peer = (more: Partial<PeerFacts> = {}): PeerFacts => ({
  ...{ cluster: "west", trustDomain: "west.test", announced: [root("b").sha256, root("c").sha256], ageMs: 0 },
  ...{ held: [root("c").sha256, root("b").sha256], missing: [], unknownThere: [], keptFromWorkloads: false, ...more },
});

export const census = (more: Partial<Census> = {}): Census => ({
  ...{ at: NOW - 20_000, entries: 420, agents: 3, nodes: 3, bareNodes: [], pods: 131, identities: 120, uncovered: 0 },
  ...{ shown: [], trouble: undefined, ...more },
});

export const registrar = (more: Partial<RegistrationState> = {}): RegistrationState => ({
  ...{ phase: "settled", wanted: 131, registered: 131, waiting: [], elsewhere: 0, refused: new Map(), held: 0 },
  ...{ reason: undefined, settledAt: NOW - 20_000, ...more },
});

const TEMPLATE = "spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}";

/** A mesh whose certificates SPIRE signs by its entries, in which nothing is wrong. */
export const goodFacts = (more: Partial<SpireFacts> = {}): SpireFacts => ({
  ...{ now: NOW, mode: "spire", trustDomain: "east.test", server: server(), agent: agent() },
  own: { spiffeId: ADMIN, notBefore: NOW - HOUR / 4, notAfter: NOW + (HOUR * 3) / 4 },
  authority: undefined,
  bundles: [bundle(), bundle({ trustDomain: "west.test", roots: [root("b"), root("c")], sequence: undefined })],
  peers: [peer()],
  census: census(),
  registration: {
    fileTrouble: undefined,
    ...{ register: "built-in", state: registrar(), uncovered: [] },
    spiffeIds: [{ name: "causeway-mesh", template: TEMPLATE, whyNotMesh: "" }],
  },
  delegates: [],
  refused: [],
  ...more,
});
