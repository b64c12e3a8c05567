"""IAM roles as the files describe them: trust policy, policies of their own, AWS's policies, instance profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from src.domain.infra.resource import Found, Resource
from src.infrastructure.aws.answers import code_of
from src.infrastructure.aws.shapes import policy_text

ABSENT = "NoSuchEntity"


@dataclass(frozen=True, slots=True)
class IamRoles:
    """Calls raise what the SDK raises."""

    iam: Any

    def find(self, resource: Resource) -> Found | None:
        """With all that hangs on it. A role of that name without its profile is found without it."""
        role = _or_none(lambda: self.iam.get_role(RoleName=resource.name))
        if role is None:
            return None
        policies = {}
        for page in self.iam.get_paginator("list_role_policies").paginate(RoleName=resource.name):
            for name in page["PolicyNames"]:
                answer = self.iam.get_role_policy(RoleName=resource.name, PolicyName=name)
                policies[name] = answer["PolicyDocument"]
        pages = self.iam.get_paginator("list_attached_role_policies").paginate(RoleName=resource.name)
        document = {
            "RoleName": resource.name,
            "AssumeRolePolicyDocument": role["Role"]["AssumeRolePolicyDocument"],
            "Description": role["Role"].get("Description", ""),
            "Policies": policies,
            "AttachedPolicies": [one["PolicyArn"] for page in pages for one in page["AttachedPolicies"]],
            "InstanceProfileName": self._profile(resource),
        }
        return Found(document)

    def create(self, resource: Resource) -> None:
        """Made with its trust policy; the rest as by `change`, so that a run that was cut off is taken up."""
        document = resource.document
        self.iam.create_role(
            RoleName=resource.name,
            Description=document["Description"],
            AssumeRolePolicyDocument=policy_text(document["AssumeRolePolicyDocument"]),
        )
        self._fill(document, {})

    def change(self, resource: Resource, found: Found) -> None:
        """What the files do not name is taken away: they are the whole truth about a role."""
        document, name = resource.document, resource.name
        if document["Description"] != found.document["Description"]:
            self.iam.update_role_description(RoleName=name, Description=document["Description"])
        if document["AssumeRolePolicyDocument"] != found.document["AssumeRolePolicyDocument"]:
            text = policy_text(document["AssumeRolePolicyDocument"])
            self.iam.update_assume_role_policy(RoleName=name, PolicyDocument=text)
        self._fill(document, found.document)
        for policy in found.document["Policies"].keys() - document["Policies"].keys():
            self.iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for arn in set(found.document["AttachedPolicies"]) - set(document["AttachedPolicies"]):
            self.iam.detach_role_policy(RoleName=name, PolicyArn=arn)

    def _fill(self, document: Mapping[str, Any], there: Mapping[str, Any]) -> None:
        name, profile = document["RoleName"], document["InstanceProfileName"]
        for policy, wanted in document["Policies"].items():
            if there.get("Policies", {}).get(policy) != wanted:
                self.iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=policy_text(wanted))
        for arn in document["AttachedPolicies"]:
            if arn not in there.get("AttachedPolicies", ()):
                self.iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        if profile and profile != there.get("InstanceProfileName"):
            if _or_none(lambda: self.iam.get_instance_profile(InstanceProfileName=profile)) is None:
                self.iam.create_instance_profile(InstanceProfileName=profile)
            self.iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=name)

    def _profile(self, resource: Resource) -> str:
        profile = resource.document["InstanceProfileName"]
        if not profile:
            return ""
        answer = _or_none(lambda: self.iam.get_instance_profile(InstanceProfileName=profile))
        roles = answer["InstanceProfile"]["Roles"] if answer else ()
        return profile if any(role["RoleName"] == resource.name for role in roles) else ""


def _or_none(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except ClientError as error:
        if code_of(error) == ABSENT:
            return None
        raise
