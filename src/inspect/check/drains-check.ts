import type { KubeObject } from "../../kube/object.ts";
import { GATEWAYS, SERVICES } from "../../kube/resource-types.ts";
import { DRAIN_AHEAD_MAX_MS, timeOfDrain } from "../../registry/drains.ts";
import { REMOTE_CLASS } from "../../registry/kube/gateway.ts";
import { DRAIN_UNTIL, DRAIN_UNTIL_FIELD, drainWishOf } from "../../registry/kube/peering-annotations.ts";
import { annotationWriter } from "../annotation-writer.ts";
import { type ClusterFacts, objectsOf, pageOf, whyUnknown } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import { fieldsIn, fieldsOf, leadsTo, objectName, placeOf, specOf, textOf } from "./mesh-parts.ts";
import { contextFlag, unannotated } from "./fixes.ts";
import { CheckNotes, type Outcome, plural } from "./outcome.ts";

/** Control planes look once a minute at least; clocks need not agree better. */
const OVERDUE_MS = 2 * 60_000;

/** What is drained, or was to be: calls go elsewhere, and somebody may have forgotten why. */
export function drainsCheck(facts: ClusterFacts): Outcome {
  const notes = new CheckNotes(CHECKS.drains);
  for (const type of [GATEWAYS, SERVICES]) {
    const why = whyUnknown(facts, type);
    if (why === undefined) continue;
    const evidence = `whether any are drained is not known: ${why}`;
    notes.unknown("08", facts.cluster, { object: type.plural, evidence, fix: "" });
  }
  const asked = [...objectsOf(facts, GATEWAYS).filter(isRemote), ...objectsOf(facts, SERVICES)].filter(
    ({ metadata }) => metadata.annotations?.[DRAIN_UNTIL] !== undefined,
  );
  const states = statesOf(facts);
  for (const object of asked) lookAt(notes, facts, object, states?.get(objectName(object)));
  const passed =
    asked.length === 0
      ? "nothing is drained"
      : `nothing is drained now, and ${plural(asked.length, "annotation")} left`;
  return notes.outcome(passed, facts.cluster);
}

const isRemote = (gateway: KubeObject): boolean => specOf(gateway)["gatewayClassName"] === REMOTE_CLASS;

/** What the control plane makes of each, by object; undefined if none says. */
function statesOf(facts: ClusterFacts): ReadonlyMap<string, string> | undefined {
  const page = pageOf(facts, "drainz");
  if (page === undefined) return undefined;
  return new Map(fieldsIn(fieldsOf(page)["drains"]).map(({ object, state }) => [textOf(object), textOf(state)]));
}

function lookAt(notes: CheckNotes, facts: ClusterFacts, object: KubeObject, state: string | undefined): void {
  const named = objectName(object);
  const { text, untilMs } = drainWishOf((key) => object.metadata.annotations?.[key])!;
  const problem = { object: named, field: DRAIN_UNTIL_FIELD };
  notes.line(`${named}: until ${text}${state === undefined ? "" : `, ${state}`}`);
  if (untilMs === undefined)
    return notes.warn("03", facts.cluster, {
      ...problem,
      evidence: `${named} is to be drained until ${JSON.stringify(text.slice(0, 80))}, which is no time, so nothing is drained${byWhom(object)}`,
      fix: `${unannotated(facts, object, DRAIN_UNTIL)}; causeway multicluster drill start${words(facts, object)} --for 10m`,
    });
  const until = timeOfDrain(untilMs);
  const stop = `causeway multicluster drill stop${words(facts, object)}`;
  const isOn = state === "drained" || state === "leaving";
  if (untilMs <= facts.readAt) {
    if (isOn && facts.readAt - untilMs > OVERDUE_MS)
      return notes.warn("06", facts.cluster, {
        ...problem,
        evidence: `${named} was to be drained until ${until}, which is over, and is drained still: the clock of the control plane is behind${byWhom(object)}`,
        fix: `${stop}; set the clocks of its nodes by NTP`,
      });
    return notes.info("05", facts.cluster, {
      ...problem,
      evidence: `the drain of ${named} ended at ${until}, and its annotation is left${byWhom(object)}`,
      fix: unannotated(facts, object, DRAIN_UNTIL),
    });
  }
  if (untilMs - facts.readAt > DRAIN_AHEAD_MAX_MS)
    return notes.warn("04", facts.cluster, {
      ...problem,
      evidence: `${named} is to be drained until ${until}, which is more than 24 hours ahead, so nothing is drained before that${byWhom(object)}`,
      fix: stop,
    });
  if (state === "spared")
    return notes.warn("02", facts.cluster, {
      ...problem,
      evidence: `${named} is to be drained until ${until}, and keeps its calls, as no peer that is not drained has a ready endpoint${byWhom(object)}`,
      fix: `${stop}; or see to ready endpoints at a peer`,
    });
  if (isOn)
    return notes.warn("01", facts.cluster, {
      ...problem,
      evidence: `${named} is drained until ${until}: ${whatOf(object)}${byWhom(object)}`,
      fix: `it ends by itself; before that: ${stop}`,
    });
  const whether =
    state === undefined
      ? "no control plane says whether it is"
      : `the control plane says ${JSON.stringify(state)}, as its clock is another`;
  notes.unknown("07", facts.cluster, {
    ...problem,
    evidence: `${named} is to be drained until ${until}, and ${whether}${byWhom(object)}`,
    fix: "",
  });
}

const whatOf = (object: KubeObject): string =>
  object.kind === "Service"
    ? "under its global names its endpoints here get no new calls"
    : `calls from here go to cluster ${leadsTo(object)} only where no other has a ready endpoint`;

/** The program that wrote it, and when: the API server does not keep who ran it. */
function byWhom(object: KubeObject): string {
  const writer = annotationWriter(object, DRAIN_UNTIL);
  return writer === undefined ? "" : `; written by ${writer.manager}${writer.time && ` at ${writer.time}`}`;
}

const words = (facts: ClusterFacts, object: KubeObject): string =>
  `${contextFlag(facts)} ${object.kind === "Service" ? `--service ${placeOf(object)}` : `--peer ${leadsTo(object)}`}`;
