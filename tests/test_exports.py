"""The public names, pinned: taking one away, or adding one, is a decision."""

import receiver


def test_public_names() -> None:
    assert sorted(receiver.__all__) == [
        "Action",
        "Call",
        "DeclarationError",
        "Forward",
        "Handler",
        "Hangup",
        "Ivr",
        "LoadError",
        "Mask",
        "MaskError",
        "Numbering",
        "PbxError",
        "Receiver",
        "ReceiverError",
        "RegistrationError",
        "Repeat",
        "Reply",
        "ReplyError",
        "Secret",
        "Settings",
        "SettingsError",
        "Then",
        "Unavailable",
        "handler_of",
        "is_sensitive",
    ]
    assert all(hasattr(receiver, name) for name in receiver.__all__)
