import { VERSION } from "../version.ts";
import type { EpochMs } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { type ClusterFacts, type ClusterLedger, signerOf } from "./cluster-ledger.ts";
import type { TrustPlan } from "./plan/plan.ts";
import type { Judgement, RegisteredCluster, TrustObjectId, TrustState } from "./policy.ts";
import type { RootRotation } from "./rotation/rotation.ts";
import type { Sources } from "./sources.ts";
import type { JudgedObject } from "./statuses.ts";
import type { ManagedClusterView, TrustView } from "./view.ts";

export interface Findings {
  readonly plan: TrustPlan;
  readonly sources: Pick<Sources, "trouble" | "notes" | "title" | "roots">;
  readonly rotation: Pick<RootRotation, "view" | "roots" | "refusal">;
  readonly ledger: ClusterLedger;
  /** Why a registered cluster gets no order; undefined if it gets one, or nothing is known yet. */
  readonly whyNoOrder: (cluster: ClusterId) => string | undefined;
  readonly generationOf: (cluster: ClusterId) => string | undefined;
  readonly refused: TrustView["refused"];
  /** That several control planes seem to be one cluster. */
  readonly contested: (cluster: ClusterId) => string | undefined;
  /** What keeps the manager from its work, whatever objects say. */
  readonly troubles: readonly string[];
  readonly now: EpochMs;
}

/** A clock that differs by more makes certificates that are not valid yet, or no more. */
const SKEW_MS_MAX = 30_000;

export function trustView(findings: Findings): TrustView {
  const { plan, sources, rotation, refused, now } = findings;
  const judged = judgedObjects(findings).map(({ judgement }) => judgement);
  // One that does not count yet is the one that somebody means: the first of its kind is the oldest.
  const meant = plan.policy?.id ?? plan.judgements.find(({ id }) => id.kind === "RootTrustPolicy")?.id;
  const policy = meant && judged.find(({ id }) => isSame(id, meant));
  const others = judged.filter(({ id }) => id.kind !== "KubernetesCluster" && !(policy && isSame(id, policy.id)));
  return {
    version: VERSION,
    now,
    policy: policy && { title: titleOf(policy.id), ...sayingOf(policy), source: sources.title },
    roots: rotation.roots,
    rotation: rotation.view,
    clusters: Array.from(plan.clusters.values(), ({ cluster, trustDomain, id }) => {
      const judgement = judged.find((one) => isSame(one.id, id))!;
      return clusterView(findings, { cluster, trustDomain, ...sayingOf(judgement) });
    }),
    refused,
    objects: others
      .filter(({ state, messages }) => state !== "ACCEPTED" || messages.length > 0)
      .map((one) => ({ title: titleOf(one.id), ...sayingOf(one) })),
  };
}

/** Every object with its last judgement: what it says, and what became of it. */
export function judgedObjects(findings: Findings): readonly JudgedObject[] {
  const { plan } = findings;
  return plan.judgements.map((judgement) => {
    const { id } = judgement;
    if (plan.policy !== undefined && isSame(id, plan.policy.id)) return judgedPolicy(findings, judgement);
    const registered = [...plan.clusters.values()].find((one) => isSame(one.id, id));
    return registered === undefined ? { judgement, extras: {} } : judgedCluster(findings, judgement, registered);
  });
}

function judgedPolicy({ sources, rotation, troubles, now }: Findings, judgement: Judgement): JudgedObject {
  const { trouble, notes, roots } = sources;
  const refused = rotation.view.phase === "refused" ? rotation.view.notes : [];
  const changing = rotation.view.phase === "refused" ? [] : rotation.view.notes;
  const errors = [...troubles, ...(trouble === undefined ? [] : [trouble]), ...refused];
  const ending = rotation.roots.filter(({ notAfter }) => notAfter <= now).map(({ subject }) => `${subject} has ended.`);
  const failed: TrustState = roots === undefined ? "PENDING" : "FAILED";
  // A change that goes on does not hide that another one is asked for, and waits.
  const warns = ending.length > 0 || rotation.refusal !== "";
  const state = errors.length === 0 ? worse(judgement.state, warns ? "WARNING" : "ACCEPTED") : failed;
  const messages = [...errors, ...ending, ...judgement.messages, ...notes, ...changing].map(sentence);
  const extras = {
    rotation: { phase: rotation.view.phase, notes: rotation.view.notes },
    roots: rotation.roots.map(({ sha256, subject, role, notAfter }) => {
      return { sha256, subject, role, notAfter: secondOf(notAfter) };
    }),
  };
  return { judgement: { ...judgement, state, messages }, extras };
}

function judgedCluster(findings: Findings, judgement: Judgement, registered: RegisteredCluster): JudgedObject {
  const { cluster, trustDomain } = registered;
  const facts = findings.ledger.of(cluster);
  const { report } = facts;
  const { notAfter } = signerOf(report);
  const why = findings.whyNoOrder(cluster);
  const contest = findings.contested(cluster);
  const warnings = [
    ...(contest === undefined ? [] : [contest]),
    ...(report?.problems ?? []),
    ...skewOf(cluster, facts),
  ];
  const state = why !== undefined ? "FAILED" : worse(judgement.state, warnings.length > 0 ? "WARNING" : "ACCEPTED");
  const messages = [...(why === undefined ? [] : [why]), ...warnings, ...judgement.messages].map(sentence);
  const { link, heardAt } = facts;
  const extras = {
    trustDomain,
    relay: {
      connected: link === "connected",
      // While it is connected that would be written again with each of its words.
      ...(link === "away" && heardAt !== undefined && { lastHeard: secondOf(heardAt) }),
      ...(report?.signingRoot !== undefined && { signingRoot: report.signingRoot }),
      ...(notAfter !== undefined && { notAfter: secondOf(notAfter) }),
    },
  };
  return { judgement: { ...judgement, state, messages }, extras };
}

function clusterView(
  { ledger, generationOf }: Findings,
  known: Pick<ManagedClusterView, "cluster" | "trustDomain" | "state" | "messages">,
): ManagedClusterView {
  const { link, from, heardAt, report, skewMs } = ledger.of(known.cluster as ClusterId);
  const { issuer, notAfter, roots } = signerOf(report);
  const generation = generationOf(known.cluster as ClusterId);
  return {
    ...known,
    ...{ link, from, heardAt, skewMs, issuer, notAfter, roots },
    reported: report !== undefined,
    signingRoot: report?.signingRoot,
    current: generation !== undefined && report?.generation === generation,
    waits: report?.waits ?? [],
    problems: report?.problems ?? [],
    restarts: report?.restarts ?? [],
  };
}

function skewOf(cluster: string, { skewMs = 0 }: ClusterFacts): readonly string[] {
  if (Math.abs(skewMs) <= SKEW_MS_MAX) return [];
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  const which = skewMs > 0 ? "ahead of" : "behind";
  return [`The clock of ${cluster} is ${seconds} s ${which} ours: set both by NTP, or certificates will be refused`];
}

const ORDER: readonly TrustState[] = ["ACCEPTED", "WARNING", "PENDING", "INVALID", "FAILED"];
const worse = (one: TrustState, other: TrustState): TrustState =>
  ORDER.indexOf(one) > ORDER.indexOf(other) ? one : other;

const secondOf = (time: EpochMs): string => `${new Date(time).toISOString().slice(0, 19)}Z`;
const isSame = (one: TrustObjectId, other: TrustObjectId): boolean =>
  one.kind === other.kind && one.namespace === other.namespace && one.name === other.name;
const titleOf = ({ kind, namespace, name }: TrustObjectId): string => `${kind} ${namespace}/${name}`;
const sayingOf = ({ state, messages }: Judgement): Pick<Judgement, "state" | "messages"> => ({ state, messages });
const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);
