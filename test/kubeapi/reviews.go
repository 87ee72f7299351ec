package main

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// review is a resource that is only ever POSTed and answered in place.
type review struct {
	resource
	eval func(ctx context.Context, obj runtime.Object) error
}

func reviewOf[T runtime.Object](obj T, t traits, eval func(context.Context, T) error) *review {
	return &review{resource{obj: obj, traits: t}, func(ctx context.Context, obj runtime.Object) error { return eval(ctx, obj.(T)) }}
}

func (r *review) New() runtime.Object     { return r.obj.DeepCopyObject() }
func (r *review) Destroy()                {}
func (r *review) NamespaceScoped() bool   { return r.is(namespaced) }
func (r *review) GetSingularName() string { return r.singular() }
func (r *review) Create(ctx context.Context, obj runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	return obj, r.eval(ctx, obj)
}

// reviews are the resources of authentication.k8s.io and authorization.k8s.io.
func reviews(authn authenticator.Token, authz authorizer.Authorizer, roles *rbac) map[string]map[string]rest.Storage {
	userInfo := func(u user.Info) authenticationv1.UserInfo {
		out := authenticationv1.UserInfo{Username: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: map[string]authenticationv1.ExtraValue{}}
		for k, v := range u.GetExtra() {
			out.Extra[k] = v
		}
		return out
	}
	access := func(ctx context.Context, who user.Info, r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes, status *authorizationv1.SubjectAccessReviewStatus) error {
		attrs := authorizer.AttributesRecord{User: who}
		switch {
		case r != nil:
			attrs.ResourceRequest, attrs.Verb, attrs.Namespace, attrs.APIGroup, attrs.APIVersion = true, r.Verb, r.Namespace, r.Group, r.Version
			attrs.Resource, attrs.Subresource, attrs.Name = r.Resource, r.Subresource, r.Name
		case n != nil:
			attrs.Verb, attrs.Path = n.Verb, n.Path
		default:
			return apierrors.NewBadRequest("exactly one of nonResourceAttributes or resourceAttributes must be specified")
		}
		decision, reason, err := authz.Authorize(ctx, attrs)
		status.Allowed, status.Reason = decision == authorizer.DecisionAllow, reason
		return err
	}
	subject := func(s authorizationv1.SubjectAccessReviewSpec) user.Info {
		return &user.DefaultInfo{Name: s.User, UID: s.UID, Groups: s.Groups}
	}
	return map[string]map[string]rest.Storage{
		authenticationv1.GroupName: {
			"tokenreviews": reviewOf(&authenticationv1.TokenReview{}, 0, func(ctx context.Context, r *authenticationv1.TokenReview) error {
				audiences := authenticator.Audiences(r.Spec.Audiences)
				if len(audiences) == 0 {
					audiences = authenticator.Audiences{issuer}
				}
				resp, ok, err := authn.AuthenticateToken(authenticator.WithAudiences(ctx, audiences), r.Spec.Token)
				switch {
				case err != nil:
					r.Status = authenticationv1.TokenReviewStatus{Error: err.Error()}
				case ok:
					r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: userInfo(resp.User), Audiences: resp.Audiences}
				}
				return nil
			}),
			"selfsubjectreviews": reviewOf(&authenticationv1.SelfSubjectReview{}, 0, func(ctx context.Context, r *authenticationv1.SelfSubjectReview) error {
				who, _ := request.UserFrom(ctx)
				r.Status.UserInfo = userInfo(who)
				return nil
			}),
		},
		authorizationv1.GroupName: {
			"subjectaccessreviews": reviewOf(&authorizationv1.SubjectAccessReview{}, 0, func(ctx context.Context, r *authorizationv1.SubjectAccessReview) error {
				return access(ctx, subject(r.Spec), r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes, &r.Status)
			}),
			"localsubjectaccessreviews": reviewOf(&authorizationv1.LocalSubjectAccessReview{}, namespaced, func(ctx context.Context, r *authorizationv1.LocalSubjectAccessReview) error {
				return access(ctx, subject(r.Spec), r.Spec.ResourceAttributes, nil, &r.Status)
			}),
			"selfsubjectaccessreviews": reviewOf(&authorizationv1.SelfSubjectAccessReview{}, 0, func(ctx context.Context, r *authorizationv1.SelfSubjectAccessReview) error {
				who, _ := request.UserFrom(ctx)
				return access(ctx, who, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes, &r.Status)
			}),
			"selfsubjectrulesreviews": reviewOf(&authorizationv1.SelfSubjectRulesReview{}, 0, func(ctx context.Context, r *authorizationv1.SelfSubjectRulesReview) error {
				who, _ := request.UserFrom(ctx)
				r.Status = roles.rulesOf(who, r.Spec.Namespace)
				return nil
			}),
		},
	}
}
