"""The agent card, and the objects in it (section 4.4)."""

from pydantic import Field

from a2a_app.protocol.base import Model
from a2a_app.protocol.scalars import Flag, Name, Struct, Text
from a2a_app.protocol.security import SecurityRequirement, SecurityScheme


class AgentProvider(Model):
    """The organisation that offers an agent (section 4.4.2)."""

    url: Name
    organization: Name


class AgentExtension(Model):
    """An extension of the protocol that an agent supports (section 4.4.4)."""

    uri: Text = ""
    description: Text = ""
    required: Flag = False
    params: Struct | None = None


class AgentCapabilities(Model):
    """The optional features that an agent supports (section 4.4.3)."""

    streaming: Flag | None = None
    push_notifications: Flag | None = None
    extensions: list[AgentExtension] = Field(default_factory=list)
    extended_agent_card: Flag | None = None


class AgentSkill(Model):
    """Something an agent is good at (section 4.4.5)."""

    id: Name
    name: Name
    description: Name
    tags: list[Text]
    examples: list[Text] = Field(default_factory=list)
    input_modes: list[Text] = Field(default_factory=list)
    output_modes: list[Text] = Field(default_factory=list)
    security_requirements: list[SecurityRequirement] = Field(default_factory=list)


class AgentInterface(Model):
    """Where and how an agent is reached (section 4.4.6)."""

    url: Name
    protocol_binding: Name
    tenant: Text = ""
    protocol_version: Name


class AgentCardSignature(Model):
    """A signature of a card, as in RFC 7515 (section 4.4.7)."""

    protected: Name
    signature: Name
    header: Struct | None = None


class AgentCard(Model):
    """An agent's description of itself: what it does, and how it is reached (section 4.4.1)."""

    name: Name
    description: Text
    supported_interfaces: list[AgentInterface]
    provider: AgentProvider | None = None
    version: Text
    documentation_url: Text | None = None
    capabilities: AgentCapabilities
    security_schemes: dict[Text, SecurityScheme] = Field(default_factory=dict)
    security_requirements: list[SecurityRequirement] = Field(default_factory=list)
    default_input_modes: list[Text]
    default_output_modes: list[Text]
    skills: list[AgentSkill]
    signatures: list[AgentCardSignature] = Field(default_factory=list)
    icon_url: Text | None = None
