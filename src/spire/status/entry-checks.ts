import { formatDuration } from "../../duration.ts";
import type { EpochMs } from "../../host.ts";
import type { RegistrationState } from "../registrar.ts";
import type { Census } from "./census.ts";
import { countOf, fail, inFew, ok, type SpireCheck, unknown, warn } from "./check.ts";
import type { DelegateFacts, RefusedFacts, RegistrationFacts, SpireFacts, UncoveredFacts } from "./facts.ts";

/** Who still wants a certificate asks again within 150 s (contract identity.md 1.4); a pod that is gone does not. */
const RECENT_MS = 600_000;

/** Whom SPIRE knows, whom it should, and who was refused. */
export function entryChecks(facts: SpireFacts): readonly SpireCheck[] {
  const { census, registration, delegates, now } = facts;
  return [
    ...(census === undefined ? [] : [agentsCheck(census), coverageCheck(census, now)]),
    ...(registration === undefined ? [] : [templatesCheck(registration, census), ...registrarCheck(registration, now)]),
    ...(facts.mode === "mesh" && delegates.length === 0 ? [] : [delegatesCheck(delegates, facts.mode)]),
    ...(facts.mode === "mesh" ? [] : [refusalsCheck(facts.refused, now)]),
  ];
}

function agentsCheck({ at, agents, nodes, bareNodes, trouble }: Census): SpireCheck {
  if (at === undefined) return unknown("node agents", trouble ?? NOT_COUNTED, COUNT_FIX);
  const evidence = `${countOf(agents, "live agent")} for ${countOf(nodes, "node")} with pods of the mesh`;
  if (bareNodes.length === 0) return ok("node agents", evidence);
  return fail("node agents", `${evidence}; none on ${inFew(bareNodes)}`, BARE_FIX);
}

const NOT_COUNTED = "entries have not been counted yet";
const COUNT_FIX = "ask again in a minute";
const BARE_FIX =
  "run SPIRE's agent there; agents count that k8s_psat attested for the cluster's name in --spire-cluster: " +
  "spire-server agent list has those that there are, each as …/k8s_psat/<that name>/<uid of its node>";

function coverageCheck({ at, entries, identities, uncovered, pods, shown, trouble }: Census, now: EpochMs): SpireCheck {
  if (at === undefined) return unknown("entries", trouble ?? NOT_COUNTED, COUNT_FIX);
  const held = `they hold for ${identities - uncovered} of ${identities} identities on nodes, of ${countOf(pods, "pod")}`;
  const since = trouble === undefined ? "" : `; now they cannot be counted: ${trouble}`;
  const counted = `${entries} in all, counted ${formatDuration(now - at)} ago; ${held}${since}`;
  const [first] = shown;
  if (first !== undefined) {
    const names = inFew(shown.map(({ spiffeId, node }) => `${spiffeId} on ${node}`));
    return fail("entries", `${counted}; without: ${names}`, first.why);
  }
  return trouble === undefined ? ok("entries", counted) : warn("entries", counted, "see the server check");
}

function templatesCheck({ register, spiffeIds, uncovered }: RegistrationFacts, census: Census | undefined): SpireCheck {
  const isKnown = census?.at !== undefined && census.uncovered === 0;
  if (spiffeIds.length === 0 && isKnown) return ok("templates", `${NO_TEMPLATES}, and hold for every pod of the mesh`);
  if (spiffeIds.length === 0) return unknown("templates", NO_TEMPLATES, TEMPLATES_FIX);
  const good = spiffeIds.filter(({ whyNotMesh }) => whyNotMesh === "");
  const foreign = spiffeIds.filter(({ whyNotMesh }) => whyNotMesh === undefined);
  const kinds = register === "off" ? "ClusterSPIFFEIDs" : "ClusterSPIFFEIDs and templates of ours";
  const counts = `of ${spiffeIds.length} (${kinds}) ${good.length} give identities of the mesh`;
  const [pod] = uncovered;
  if (pod === undefined && good.length + foreign.length === 0)
    return warn("templates", `${counts}: ${spiffeIds[0]!.name} ${spiffeIds[0]!.whyNotMesh}`, SHAPE_FIX);
  if (pod !== undefined) {
    const names = inFew(uncovered.map(({ namespace, name }) => `${namespace}/${name}`));
    const evidence = `${counts}; ${countOf(uncovered.length, "pod")} of the mesh get theirs from none: ${names}`;
    return isKnown
      ? ok("templates", `${evidence}; entries that were made in another way hold for them`)
      : warn("templates", evidence, shapeFix(pod));
  }
  const rest = foreign.length === 0 ? "" : `; only SPIRE's controller can tell of ${inFew(namesOf(foreign))}`;
  return ok("templates", `${counts}, and every pod of the mesh has one that selects it${rest}`);
}

const namesOf = (named: readonly { readonly name: string }[]): readonly string[] => named.map(({ name }) => name);

function shapeFix({ namespace, name, spiffeId, selectedBy: [selected] }: UncoveredFacts): string {
  const why = selected === undefined ? "none selects it" : `of ${selected.name} ${selected.why}`;
  return `${namespace}/${name} needs ${spiffeId}, and ${why}: ${SHAPE_FIX}`;
}

const NO_TEMPLATES = "there is no ClusterSPIFFEID here: entries are made in another way";
const TEMPLATES_FIX = "see spire-server entry show; --spire-register makes entries for the pods of the mesh";
const SHAPE_FIX =
  "select it with a template spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}";

function registrarCheck(facts: RegistrationFacts, now: EpochMs): readonly SpireCheck[] {
  const { state } = facts;
  if (state === undefined) return [];
  return [stateCheck(state, facts, now)];
}

function stateCheck(state: RegistrationState, facts: RegistrationFacts, now: EpochMs): SpireCheck {
  const { register, fileTrouble } = facts;
  const { phase, wanted, registered, elsewhere, settledAt, reason = "" } = state;
  const others = elsewhere === 0 ? "" : `, ${elsewhere} made by somebody else`;
  const since = settledAt === undefined ? "" : `, settled ${formatDuration(now - settledAt)} ago`;
  const evidence = `templates: ${register}; ${wanted} wanted, ${registered} registered${others}${since}`;
  if (phase === "idle") return ok("registrar", "another replica makes the entries of pods: ask that one");
  if (phase === "starting")
    return unknown("registrar", "it looks at the server's entries for the first time", COUNT_FIX);
  if (phase === "paused") return warn("registrar", reason, PAUSED_FIX);
  if (phase === "failing")
    return fail("registrar", `${evidence}; entries of new pods are not made: ${reason}`, FAILING_FIX);
  const short = shortOf(state, evidence);
  if (fileTrouble === undefined || short?.state === "fail") return short ?? ok("registrar", evidence);
  return warn("registrar", `${evidence}; what the file said before holds`, `mend ${fileTrouble}`);
}

function shortOf({ waiting, refused, held }: RegistrationState, evidence: string): SpireCheck | undefined {
  const [first] = refused;
  if (first !== undefined)
    return fail(
      "registrar",
      `${evidence}; the server refuses ${refused.size}`,
      `mend what it says of ${first[0]}: ${first[1]}`,
    );
  if (waiting.length > 0)
    return warn("registrar", `${evidence}; ${waiting.length} wait for an agent on their node`, BARE_FIX);
  return held > 0 ? warn("registrar", `${evidence}; ${held} surplus ones are held back`, HELD_FIX) : undefined;
}

const PAUSED_FIX = "turn one of the two off; until then pods are registered by that controller alone";
const FAILING_FIX = "see the server check; it is tried again";
const HELD_FIX =
  "so many at once look like a mistake: see that pods can be read whole; they go once they are few, or with another " +
  "--spire-register-removals";

/** No API of SPIRE's says whom its agents take for a delegate. */
function delegatesCheck(delegates: readonly DelegateFacts[], mode: SpireFacts["mode"]): SpireCheck {
  if (delegates.length === 0)
    return ok("delegates", mode === "external" ? NO_DELEGATES : `${NO_DELEGATES}: certificates go through us`);
  const unseen = delegates.filter(({ proven }) => proven === 0);
  const seen = delegates.filter(({ proven }) => proven > 0);
  const evidence =
    seen.length === 0
      ? "none has shown an SVID here yet"
      : `${inFew(seen.map(({ who }) => who))} show SVIDs that agents gave them`;
  if (unseen.length === 0) return ok("delegates", evidence);
  const ids = [...new Set(unseen.map(({ spiffeId }) => spiffeId))];
  return unknown("delegates", `${evidence}; not seen: ${inFew(unseen.map(({ who }) => who))}`, delegatesFix(ids));
}

const NO_DELEGATES = "nobody asks SPIRE's agents for the identities of others";
const delegatesFix = (ids: readonly string[]): string =>
  `authorized_delegates in the configuration of SPIRE's agents has to name ${inFew(ids)}; their logs say "no delegate", or ` +
  "PermissionDenied, if it does not";

function refusalsCheck(refused: readonly RefusedFacts[], now: EpochMs): SpireCheck {
  const recent = refused.filter(({ at }) => now - at <= RECENT_MS);
  const [last] = recent;
  if (last === undefined) return ok("refusals", "no identity was refused a certificate in the last ten minutes");
  const names = inFew(recent.map(({ spiffeId, node }) => (node === undefined ? spiffeId : `${spiffeId} on ${node}`)));
  const evidence = `${countOf(recent.length, "workload")} without a new certificate since it was asked for: ${names}`;
  return fail("refusals", evidence, `the last, ${formatDuration(now - last.at)} ago: ${last.why}`);
}
