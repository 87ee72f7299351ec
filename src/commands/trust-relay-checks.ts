import { readCertificate } from "../ca/certificate-fields.ts";
import { formatDuration } from "../duration.ts";
import type { EpochMs } from "../host.ts";
import type { RelayView } from "../relay/relay-view.ts";
import { issuerOf, objectOf, type PlaneFacts, subjectOf, type TrustFacts } from "./trust-facts.ts";
import { error, good, type TrustFinding, warning } from "./trust-finding.ts";

const DAY_MS = 86_400_000;
/** Of an intermediate (contract identity.md 6, number 28); one that lives shorter than these is held to a part of its life. */
const WARNED = { leftMs: 30 * DAY_MS, part: 1 / 3 };
const ALARMED = { leftMs: 7 * DAY_MS, part: 1 / 10 };

/** The link of each cluster to the trust manager, and what is kept there of what came over it. */
export const relayChecks = ({ planes, now }: TrustFacts): readonly TrustFinding[] =>
  planes.flatMap((plane) => planeChecks(plane, now));

function planeChecks(plane: PlaneFacts, now: EpochMs): readonly TrustFinding[] {
  if (!("relay" in plane))
    return [error("TRUST100", plane.where, plane.why, "name a control plane that runs with --state or --admin")];
  const { relay } = plane;
  return [
    linkCheck(relay),
    ...orderChecks(relay),
    ...clientChecks(relay),
    ...keptChecks(relay),
    ...dateChecks(relay, now),
  ];
}

function linkCheck(relay: RelayView): TrustFinding {
  const { state, manager, since, lastHeard, reason, now } = relay;
  const object = objectOf(relay);
  const forLong = since === undefined ? "" : ` for ${formatDuration(Math.max(0, now - since))}`;
  if (state === "off")
    return warning(
      "TRUST101",
      object,
      "it has no trust manager",
      "start it with --trust-manager <host:port>, if it is to have one",
    );
  if (state === "connected") {
    const heard = lastHeard === undefined ? "" : `, last heard of ${formatDuration(Math.max(0, now - lastHeard))} ago`;
    return good("TRUST101", object, `connected to ${manager}${forLong}${heard}`);
  }
  const never = state === "never" ? `${manager} was never reached` : `no link to ${manager}${forLong}`;
  const fix =
    "certificates go on, and are not renewed; see that the manager runs, and that its port can be reached from there";
  return error("TRUST101", object, `${never}${reason === "" ? "" : `: ${reason}`}`, fix);
}

function orderChecks(relay: RelayView): readonly TrustFinding[] {
  const { state, generation, waits, problems, restarts } = relay;
  if (state === "off") return [];
  const object = objectOf(relay);
  const fix = "mend what it says there; the manager's side is in: causeway trust status";
  const found = [
    ...problems.map((problem) => error("TRUST102", object, problem, fix)),
    ...waits.map((wait) => warning("TRUST102", object, wait, "wait; nothing is to be done")),
    ...restarts.map((restart) => warning("TRUST102", object, restart, "restart it when that suits you")),
  ];
  if (found.length > 0) return found;
  return generation === ""
    ? [warning("TRUST102", object, "no order of the manager was carried out yet", "see causeway trust status")]
    : [good("TRUST102", object, `order ${generation} is carried out`)];
}

function clientChecks(relay: RelayView): readonly TrustFinding[] {
  const { state, clientNotAfter: end, now } = relay;
  if (state === "off" || end === undefined) return [];
  const object = objectOf(relay);
  if (end > now) return [good("TRUST103", object, `its client certificate for the manager ends ${timeOf(end)}`)];
  const fix = `give it a new token: causeway trust token --cluster ${relay.cluster}`;
  return [error("TRUST103", object, `its client certificate for the manager ended ${timeOf(end)}`, fix)];
}

function keptChecks(relay: RelayView): readonly TrustFinding[] {
  const { kept, state } = relay;
  if (kept === undefined) return [];
  const object = `${objectOf(relay)}, ${kept.title}`;
  if (kept.owner === "absent")
    return [
      error("TRUST201", object, "it is not there", "the manager has sent nothing yet: see TRUST101 and TRUST102 above"),
    ];
  if (kept.owner === "unread")
    return [error("TRUST201", object, "it cannot be read", "let the control plane's account get and write it")];
  const there = good("TRUST201", object, "it is there");
  if (kept.owner === "ours") return [there, good("TRUST202", object, "it has our label")];
  if (state === "off") return [there, good("TRUST202", object, "somebody else wrote it, and nobody here wants to")];
  const fix =
    "it is never overwritten: label it trust.causeway.dev/cluster, or move it away, if the manager is to write it";
  return [there, error("TRUST202", object, "somebody else wrote it: it has not our label", fix)];
}

function dateChecks(relay: RelayView, now: EpochMs): readonly TrustFinding[] {
  const object = objectOf(relay);
  const [first] = relay.authority?.chain ?? relay.authority?.roots ?? [];
  if (first === undefined)
    return [
      error(
        "TRUST203",
        object,
        "nothing signs there: no workload gets a certificate",
        "see TRUST101 and TRUST201 above",
      ),
    ];
  const der = Buffer.from(first, "base64");
  const { notBefore, notAfter } = readCertificate(der);
  const [leftMs, lifeMs] = [notAfter - now, notAfter - notBefore];
  const is = `${subjectOf(der)} by ${issuerOf(der)}, ${timeOf(notBefore)} to ${timeOf(notAfter)}`;
  const fix = "it should have been renewed: see TRUST101 and TRUST102 above, and causeway trust status for the source";
  if (leftMs <= 0) return [error("TRUST203", object, `${is}: it has ended`, fix)];
  const left = `${is}: ${formatDuration(leftMs)} left`;
  const under = ({ leftMs: most, part }: typeof WARNED): boolean => leftMs < Math.min(most, part * lifeMs);
  if (under(ALARMED)) return [error("TRUST203", object, left, fix)];
  return [under(WARNED) ? warning("TRUST203", object, left, fix) : good("TRUST203", object, left)];
}

const timeOf = (time: EpochMs): string => new Date(time).toISOString().replace(/\.\d+/, "");
