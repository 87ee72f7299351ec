/** The pod of a waypoint, in an ambient namespace `shop`. */
export const WAYPOINT_POD = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Pod
metadata: { name: waypoint-1, namespace: shop }
spec: { serviceAccountName: waypoint, nodeName: n1, containers: [{ name: proxy, image: proxy }] }
`;
