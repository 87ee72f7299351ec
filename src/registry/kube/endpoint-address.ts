import { parseIp, whyNotEndpoint } from "../ip.ts";
import { FieldError } from "./fields.ts";

/** @throws FieldError for what is no address, has a zone, or would turn traffic back on its sender. */
export function endpointAddress(text: string, field: string): string {
  const ip = parseIp(text);
  if (ip === undefined)
    throw new FieldError(field, `is ${JSON.stringify(text.slice(0, 80))}, not an IP address without a zone`);
  const why = whyNotEndpoint(ip);
  if (why) throw new FieldError(field, `is ${text}, ${why}; an endpoint needs an address that others can reach`);
  return ip;
}
