import { createHash } from "node:crypto";
import { AUTHORIZATION_POLICIES } from "../../kube/resource-types.ts";
import type { AuthorizationPolicy } from "../../registry/kube/authorization-policy.ts";
import { isFields } from "../../registry/kube/fields.ts";
import { selects, type LabelSet } from "../../registry/kube/labels.ts";
import type { KubeService } from "../../registry/kube/service.ts";
import { own, writtenIn, type Site } from "../analyze/site.ts";

/** AuthorizationPolicies that bind a Service or pods of it, as `shop/callers@3f2a1b`: the end is of what it says. */
export function policiesOf(site: Site, service: KubeService): readonly string[] {
  const { registry } = site;
  const pods = own(registry.objects.pods)
    .filter(({ namespace }) => namespace === service.id.namespace)
    .map(({ placement }) => placement.labels)
    .filter((labels) => service.selector !== undefined && selects(service.selector, labels));
  return own(registry.objects.authorizationPolicies)
    .filter((policy) => binds(policy, service, pods, site.mesh.settings.rootNamespace))
    .map(({ id: { namespace, name } }) => `${namespace}/${name}@${digestOf(site, namespace, name)}`)
    .sort();
}

function binds(
  { id, targeted, targets, selector }: AuthorizationPolicy,
  service: KubeService,
  pods: readonly LabelSet[],
  rootNamespace: string,
): boolean {
  if (targeted)
    return (
      id.namespace === service.id.namespace &&
      targets.some(({ kind, name }) => kind === "Service" && name === service.id.name)
    );
  if (id.namespace !== service.id.namespace && id.namespace !== rootNamespace) return false;
  return selector === undefined || pods.some((labels) => selects(selector, labels));
}

/** Equal for equal specs, whatever the order of their fields. */
function digestOf(site: Site, namespace: string, name: string): string {
  const found = writtenIn(site, AUTHORIZATION_POLICIES).find(
    ({ metadata }) => metadata.name === name && (metadata.namespace ?? "default") === namespace,
  );
  const text = JSON.stringify(found?.["spec"] ?? {}, (_key, value: unknown) =>
    isFields(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value,
  );
  return createHash("sha256").update(text).digest("hex").slice(0, 6);
}
