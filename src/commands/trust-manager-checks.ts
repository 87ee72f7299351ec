import type { TrustView } from "../manager/view.ts";
import type { TrustFacts } from "./trust-facts.ts";
import { error, good, type TrustFinding, warning } from "./trust-finding.ts";

/** The manager's side, where somebody named it. */
export function managerChecks({ manager, planes }: TrustFacts): readonly TrustFinding[] {
  if (manager === undefined) return [];
  if (!("view" in manager))
    return [
      error("TRUST500", manager.where, manager.why, "name a trust manager that runs with --manager or --manager-state"),
    ];
  const names = planes.flatMap((plane) => ("relay" in plane ? [plane.relay.cluster] : []));
  return [policyCheck(manager.view), rotationCheck(manager.view), ...clusterChecks(manager.view, names)];
}

function policyCheck({ policy }: TrustView): TrustFinding {
  if (policy === undefined)
    return error("TRUST501", "RootTrustPolicy", "there is none", "apply one in the trust manager's namespace");
  const { title, state, messages, source } = policy;
  const evidence = [`${state}, ${source}`, ...messages].join("; ");
  if (state === "ACCEPTED") return good("TRUST501", title, evidence);
  const fix = "mend what it says";
  return state === "INVALID" || state === "FAILED"
    ? error("TRUST501", title, evidence, fix)
    : warning("TRUST501", title, evidence, fix);
}

function rotationCheck({ rotation: { phase, notes } }: TrustView): TrustFinding {
  const evidence = [phase, ...notes].join("; ");
  if (phase === "steady") return good("TRUST502", "rotation of the root", evidence);
  return phase === "refused"
    ? error("TRUST502", "rotation of the root", evidence, "follow the plan that it names")
    : warning("TRUST502", "rotation of the root", evidence, "wait, or do what it says of a cluster that it waits for");
}

function clusterChecks({ clusters }: TrustView, names: readonly string[]): readonly TrustFinding[] {
  return names.map((name) => {
    const object = `KubernetesCluster ${name}`;
    const view = clusters.find(({ cluster }) => cluster === name);
    if (view === undefined)
      return error("TRUST503", object, "it is not registered", "apply it in the trust manager's namespace");
    const evidence = [`${view.state}, ${view.link}`, ...view.messages].join("; ");
    return view.state === "ACCEPTED" && view.link === "connected"
      ? good("TRUST503", object, evidence)
      : error("TRUST503", object, evidence, "see TRUST101 above for the cluster's side");
  });
}
