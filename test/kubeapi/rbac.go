package main

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
)

// rbac authorizes with the stored roles and bindings, and counts what it did.
// There are no built-in roles: only system:masters may do everything, and every
// authenticated user may read non-resource paths and review its own access.
type rbac struct {
	in     rbacinformers.Interface
	mu     sync.Mutex
	used   map[grant]int
	denied map[denial]int
}

// grant is the smallest part of a rule that can be left out of it: one verb on
// one resource (or path), for one name if the rule has names.
type grant struct {
	Binding   string `json:"binding"` // as ClusterRoleBinding/reader or RoleBinding/shop/reader
	Role      string `json:"role"`    // as ClusterRole/reader or Role/shop/reader
	Verb      string `json:"verb"`
	APIGroup  string `json:"apiGroup"`
	Resource  string `json:"resource"` // as pods, pods/status or a path
	Name      string `json:"name,omitempty"`
	nonObject bool
}

// denial is a request that nothing allowed.
type denial struct {
	User      string `json:"user"`
	Verb      string `json:"verb"`
	APIGroup  string `json:"apiGroup"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// binding is a RoleBinding or ClusterRoleBinding, with the rules of its role.
type binding struct {
	name, role, namespace string
	subjects              []rbacv1.Subject
	rules                 []rbacv1.PolicyRule
}

func newRBAC(in rbacinformers.Interface) *rbac {
	// The informers start with the first use of their listers, which must be before the server starts.
	in.Roles().Lister()
	in.RoleBindings().Lister()
	in.ClusterRoles().Lister()
	in.ClusterRoleBindings().Lister()
	return &rbac{in: in, used: map[grant]int{}, denied: map[denial]int{}}
}

// authorize is an authorizer.AuthorizerFunc.
func (r *rbac) authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	u := a.GetUser()
	if slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup) ||
		!a.IsResourceRequest() && a.GetVerb() == "get" ||
		a.GetVerb() == "create" && strings.HasPrefix(a.GetResource(), "selfsubject") {
		return authorizer.DecisionAllow, "", nil
	}
	var grants []grant
	for _, b := range r.bindings() {
		if b.namespace != "" && b.namespace != a.GetNamespace() || !slices.ContainsFunc(b.subjects, func(s rbacv1.Subject) bool { return isSubject(u, s) }) {
			continue
		}
		for _, g := range b.grants() {
			if g.allows(a) {
				grants = append(grants, g)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(grants) == 0 {
		r.denied[denial{u.GetName(), a.GetVerb(), a.GetAPIGroup(), resourceOf(a), a.GetNamespace(), a.GetName()}]++
		return authorizer.DecisionNoOpinion, "", nil
	}
	for _, g := range grants {
		r.used[g]++
	}
	return authorizer.DecisionAllow, "", nil
}

// rulesOf are those that count for somebody in a namespace, as they were written.
func (r *rbac) rulesOf(who user.Info, namespace string) authorizationv1.SubjectRulesReviewStatus {
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{},
		NonResourceRules: []authorizationv1.NonResourceRule{},
	}
	for _, b := range r.bindings() {
		if b.namespace != "" && b.namespace != namespace || !slices.ContainsFunc(b.subjects, func(s rbacv1.Subject) bool { return isSubject(who, s) }) {
			continue
		}
		for _, rule := range b.rules {
			if len(rule.NonResourceURLs) > 0 {
				status.NonResourceRules = append(status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: rule.Verbs, NonResourceURLs: rule.NonResourceURLs})
				continue
			}
			status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{
				Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames,
			})
		}
	}
	return status
}

// bindings are all there are.
func (r *rbac) bindings() []binding {
	var all []binding
	cluster, _ := r.in.ClusterRoleBindings().Lister().List(labels.Everything())
	for _, b := range cluster {
		role, rules := r.role("", b.RoleRef)
		all = append(all, binding{"ClusterRoleBinding/" + b.Name, role, "", b.Subjects, rules})
	}
	local, _ := r.in.RoleBindings().Lister().List(labels.Everything())
	for _, b := range local {
		role, rules := r.role(b.Namespace, b.RoleRef)
		all = append(all, binding{"RoleBinding/" + b.Namespace + "/" + b.Name, role, b.Namespace, b.Subjects, rules})
	}
	return all
}

func (r *rbac) role(namespace string, ref rbacv1.RoleRef) (name string, rules []rbacv1.PolicyRule) {
	if ref.Kind == "ClusterRole" {
		if role, err := r.in.ClusterRoles().Lister().Get(ref.Name); err == nil {
			rules = role.Rules
		}
		return "ClusterRole/" + ref.Name, rules
	}
	if role, err := r.in.Roles().Lister().Roles(namespace).Get(ref.Name); err == nil {
		rules = role.Rules
	}
	return "Role/" + namespace + "/" + ref.Name, rules
}

// grants takes the rules apart.
func (b binding) grants() []grant {
	var all []grant
	for _, rule := range b.rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, verb := range rule.Verbs {
			for _, url := range rule.NonResourceURLs {
				all = append(all, grant{b.name, b.role, verb, "", url, "", true})
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, name := range names {
						all = append(all, grant{b.name, b.role, verb, group, resource, name, false})
					}
				}
			}
		}
	}
	return all
}

func (g grant) allows(a authorizer.Attributes) bool {
	is := func(pattern, value string) bool { return pattern == "*" || pattern == value }
	if g.nonObject == a.IsResourceRequest() || !is(g.Verb, a.GetVerb()) {
		return false
	}
	if g.nonObject {
		prefix, wild := strings.CutSuffix(g.Resource, "*")
		return g.Resource == a.GetPath() || wild && strings.HasPrefix(a.GetPath(), prefix)
	}
	sub := a.GetSubresource()
	return is(g.APIGroup, a.GetAPIGroup()) && (is(g.Resource, resourceOf(a)) || sub != "" && g.Resource == "*/"+sub) &&
		(g.Name == "" || g.Name == a.GetName())
}

// resourceOf is what a rule calls it: pods, pods/status or a path.
func resourceOf(a authorizer.Attributes) string {
	switch {
	case !a.IsResourceRequest():
		return a.GetPath()
	case a.GetSubresource() != "":
		return a.GetResource() + "/" + a.GetSubresource()
	}
	return a.GetResource()
}

func isSubject(u user.Info, s rbacv1.Subject) bool {
	switch s.Kind {
	case rbacv1.UserKind:
		return u.GetName() == s.Name
	case rbacv1.GroupKind:
		return slices.Contains(u.GetGroups(), s.Name)
	}
	return serviceaccount.MatchesUsername(s.Namespace, s.Name, u.GetName())
}

// ServeHTTP tells an administrator how often each part of each rule allowed
// something since the start, and what was denied.
func (r *rbac) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if u, ok := request.UserFrom(req.Context()); !ok || !slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup) {
		http.Error(w, "only system:masters may ask", http.StatusForbidden)
		return
	}
	type used struct {
		grant
		Allowed int `json:"allowed"`
	}
	type refused struct {
		denial
		Count int `json:"count"`
	}
	usage := struct {
		Rules  []used    `json:"rules"`
		Denied []refused `json:"denied"`
	}{[]used{}, []refused{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.bindings() {
		for _, g := range b.grants() {
			usage.Rules = append(usage.Rules, used{g, r.used[g]})
		}
	}
	for d, count := range r.denied {
		usage.Denied = append(usage.Denied, refused{d, count})
	}
	slices.SortFunc(usage.Denied, func(a, b refused) int { return cmp.Compare(b.Count, a.Count) })
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(usage)
}
