import { messageOf } from "../errors.ts";
import { ApiError, type KubeApi, pathOf } from "../kube/api.ts";
import { isFields } from "../kube/fields.ts";
import type { Bounds } from "../kube/list-objects.ts";
import type { KubeObject } from "../kube/object.ts";
import { SUBJECT_ACCESS_REVIEWS } from "../kube/resource-types.ts";
import type { Measurements, PlaneFacts, Right } from "./cluster-facts.ts";
import { pageOf } from "./cluster-facts.ts";
import { inTurns } from "./in-turns.ts";
import { isControlPlanePod } from "./mesh-pods.ts";
import { NEEDED_RIGHTS, type NeededRights } from "../registry/kube/rights.ts";

const ASKED_AT_ONCE = 8;
const ACCOUNTS_MAX = 4;

type RightsFacts = Pick<Measurements, "rights" | "rightsUnknown">;
type Asked = Omit<Right, "allowed">;

/** Whether the accounts of the control planes may what they need, by the word of the API server. Never throws. */
export async function readRights(
  api: KubeApi,
  pods: readonly KubeObject[],
  planes: readonly PlaneFacts[],
  bounds: Bounds,
): Promise<RightsFacts> {
  const needed = NEEDED_RIGHTS.filter(
    ({ feature }) =>
      feature === "mesh" || ((feature === "peering" || feature === "gateways") && usesFeature(planes, feature)),
  );
  const questions = accountsOf(pods).flatMap(({ namespace, user }) =>
    needed.flatMap((right) => questionsOf(right, user, namespace)),
  );
  // Two features may need the same.
  const asked = [...new Map(questions.map((right) => [JSON.stringify(right), right])).values()];
  if (asked.length === 0) return { rights: undefined };
  try {
    return { rights: await inTurns(asked, ASKED_AT_ONCE, (right) => review(api, right, bounds)) };
  } catch (thrown) {
    return { rights: undefined, rightsUnknown: messageOf(thrown) };
  }
}

/** As long as its configuration is not known, a control plane uses what it uses unless told otherwise. */
function usesFeature(planes: readonly PlaneFacts[], feature: "peering" | "gateways"): boolean {
  const config = pageOf({ planes }, "configz");
  const settings = isFields(config) ? config[feature] : undefined;
  return !isFields(settings) || settings["enabled"] !== false;
}

function accountsOf(pods: readonly KubeObject[]): readonly { readonly namespace: string; readonly user: string }[] {
  const accounts = new Map<string, { readonly namespace: string; readonly user: string }>();
  for (const pod of pods.filter(isControlPlanePod)) {
    const { namespace = "" } = pod.metadata;
    const account = isFields(pod["spec"]) ? pod["spec"]["serviceAccountName"] : undefined;
    const user = `system:serviceaccount:${namespace}:${typeof account === "string" ? account : "default"}`;
    accounts.set(user, { namespace, user });
  }
  return [...accounts.values()].slice(0, ACCOUNTS_MAX);
}

function questionsOf(right: NeededRights, user: string, own: string): readonly Asked[] {
  const { group, resources, verbs, where, names = [undefined] } = right;
  const namespace = where === "own" ? own : "";
  return resources.flatMap((resource) =>
    names.flatMap((name) =>
      verbs.map((verb) => ({ user, verb, group, resource, namespace, ...(name !== undefined && { name }) })),
    ),
  );
}

/** @throws ApiError */
async function review(api: KubeApi, right: Asked, { signal, callMs }: Bounds): Promise<Right> {
  const [resource, subresource] = right.resource.split("/");
  const { verb, group, namespace, name, user } = right;
  const resourceAttributes = { verb, group, resource, subresource, namespace, name };
  const groups = ["system:serviceaccounts", `system:serviceaccounts:${user.split(":")[2]}`, "system:authenticated"];
  const body = {
    ...{ apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview" },
    spec: { user, groups, resourceAttributes },
  };
  const path = pathOf(SUBJECT_ACCESS_REVIEWS, "v1");
  const answer = await api.call({ method: "POST", path, body, deadlineMs: callMs }, signal);
  const status = isFields(answer) ? answer["status"] : undefined;
  if (isFields(status) && typeof status["allowed"] === "boolean") return { ...right, allowed: status["allowed"] };
  throw new ApiError("unavailable", `POST ${path} at ${api.server} was not answered with a status`, 0, "");
}
