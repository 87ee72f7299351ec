import { MeshError } from "../../errors.ts";
import type { HttpRule, Redirect } from "../../registry/model/http-rule.ts";
import type { ProxyPolicies } from "../../registry/model/proxy-policies.ts";
import type { ProxyPort, ProxyService } from "../../registry/model/proxy-service.ts";
import { authorizationPerRoute } from "./authorization-filters.ts";
import { headerChanges } from "./header-changes.ts";
import { OWN_HEADERS, OUR_HEADERS } from "./header-hygiene.ts";
import { forwardAction } from "./http-forward.ts";
import { routeMatch } from "./http-match.ts";
import { envoy, wrapped } from "./message.ts";
import { pathChange } from "./path-change.ts";
import { httpRouteName } from "./resource-names.ts";

export type RouteConfiguration = envoy.config.route.v3.RouteConfiguration.$Properties;
type Route = envoy.config.route.v3.Route.$Properties;

/** Each is looked at in turn for each request, and all of them travel in one message. */
export const RULES_MAX = 20_000;
/** Envoy takes no more for an answer of its own. */
const BODY_BYTES_MAX = 4_096;

/**
 * What is done with the requests to one HTTP port of a service, and who may make them. Policies hold for all of it, also
 * where no rule matches: who may not ask is not told what there is. @throws MeshError `invalid` naming rule and field
 */
export function routeConfiguration(
  service: ProxyService,
  port: ProxyPort,
  policies: ProxyPolicies | undefined,
): RouteConfiguration {
  const name = httpRouteName(service.service, port.number);
  if (port.rules.length > RULES_MAX)
    throw new MeshError("invalid", `${name} has ${port.rules.length} rules; at most ${RULES_MAX} are possible`);
  return {
    name,
    virtualHosts: [
      {
        name,
        domains: ["*"],
        routes: [...port.rules.map((rule) => routeOf(rule, port.number)), noRoute(service, port)],
        typedPerFilterConfig: authorizationPerRoute(policies, port.number),
        requestHeadersToAdd: [...OUR_HEADERS],
        requestHeadersToRemove: [...OWN_HEADERS],
      },
    ],
    // Clusters come before routes that name them; one that is gone answers, and takes no other route with it.
    validateClusters: wrapped(false),
  };
}

function routeOf(rule: HttpRule, port: number): Route {
  const request = headerChanges(rule.requestHeaders, rule, "its change of request headers");
  const response = headerChanges(rule.responseHeaders, rule, "its change of response headers");
  return {
    name: rule.name,
    match: routeMatch(rule),
    ...actionOf(rule, port),
    requestHeadersToAdd: request.toAdd,
    requestHeadersToRemove: request.toRemove,
    responseHeadersToAdd: response.toAdd,
    responseHeadersToRemove: response.toRemove,
  };
}

function actionOf(rule: HttpRule, port: number): Route {
  const { action } = rule;
  switch (action.kind) {
    case "forward":
      if (action.backends.some(({ backend, weight }) => backend !== "refused" && weight > 0))
        return { route: forwardAction(rule, action) };
      return answer(500, `no backend of ${rule.name} can be used`);
    case "redirect":
      return { redirect: redirectAction(action.redirect, rule, port) };
    case "refuse":
      return answer(action.status, action.why);
  }
}

const noRoute = (service: ProxyService, port: ProxyPort): Route => ({
  name: "none",
  match: { prefix: "" },
  ...answer(404, `no route of ${service.hostname}:${port.number} matches this request`),
});

const answer = (status: number, why: string): Route => ({
  directResponse: { status, body: { inlineString: `${bounded(why)}\n` } },
});

/** As much of it as Envoy takes. */
const bounded = (text: string): string =>
  Buffer.from(text)
    .subarray(0, BODY_BYTES_MAX - 8)
    .toString()
    .replace(/\ufffd$/, "");

const { MOVED_PERMANENTLY, FOUND, SEE_OTHER, TEMPORARY_REDIRECT, PERMANENT_REDIRECT } =
  envoy.config.route.v3.RedirectAction.RedirectResponseCode;
const REDIRECT_CODES = {
  301: MOVED_PERMANENTLY,
  302: FOUND,
  303: SEE_OTHER,
  307: TEMPORARY_REDIRECT,
  308: PERMANENT_REDIRECT,
} as const;

/**
 * Without a port it is the scheme's own, and without a scheme the service's (Gateway API, HTTPRequestRedirectFilter). One
 * that goes without saying is left out where Envoy can do so: with a host of the rule's own.
 */
function redirectAction(redirect: Redirect, rule: HttpRule, servicePort: number) {
  const { scheme, hostname, path, status } = redirect;
  const usual = scheme === "https" ? 443 : 80;
  const wanted = redirect.port ?? (scheme === undefined ? servicePort : usual);
  const isKept = hostname === undefined && scheme === undefined && redirect.port === undefined;
  const port = isKept || (hostname !== undefined && wanted === usual) ? undefined : wanted;
  return {
    ...(scheme !== undefined && { schemeRedirect: scheme }),
    ...(hostname !== undefined && { hostRedirect: hostname }),
    ...(port !== undefined && { portRedirect: port }),
    ...pathChange(path, rule),
    responseCode: REDIRECT_CODES[status],
  };
}
